"""Figures of performance and risk: pure functions of NumPy arrays, one definition each.

Returns are simple returns per session as fractions, shape (T,); `excess` means less the T-bill's return of the same
session. A year is 252 sessions for volatilities and ratios and 365.25 calendar days for growth. A figure that the
sample cannot give (no session, no variation) is NaN, never zero. Moments are population moments (divisor T); kurtosis
is NON-excess everywhere, 3 for a normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from reports.inference import deflated_sharpe, newey_west_alpha, probabilistic_sharpe, sharpe_standard_error

if TYPE_CHECKING:
    from reports.run_folder import Run

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]

SESSIONS_PER_YEAR = 252
DAYS_PER_YEAR = 365.25
BILL_DAYS = 91
"""Maturity in days of the three-month bill that FRED's DTB3 quotes."""


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall from a maximum: depth (fraction, 0 or negative), rows of peak, trough and recovery (or None)."""

    depth: float
    peak: int
    trough: int
    recovery: int | None


def total_return(returns: Floats) -> float:
    """Compounded return, fraction: `Π(1 + r) − 1`.

    >>> round(total_return(np.array([0.1, -0.1])), 12)
    -0.01
    """
    return float(np.prod(1.0 + returns) - 1.0)


def cagr(total: float, first: np.datetime64, last: np.datetime64) -> float:
    """Compound growth a year, fraction: `(1 + total)^(365.25 / days) − 1`, calendar days from first to last date.

    NaN without a span; −1 when everything is lost. DataError for a loss beyond 100 %, which no long-only run can make.

    >>> round(cagr(0.21, np.datetime64("2019-01-01"), np.datetime64("2021-01-01")), 4)
    0.0999
    """
    if total < -1.0:
        raise DataError(f"a total return of {total} loses more than everything")
    days = float((last - first) / np.timedelta64(1, "D"))
    return (1.0 + total) ** (DAYS_PER_YEAR / days) - 1.0 if days > 0 else math.nan


def annual_volatility(returns: Floats) -> float:
    """Standard deviation (ddof 1) of the sessions' returns × √252, fraction a year; NaN below two sessions."""
    return float(np.std(returns, ddof=1) * math.sqrt(SESSIONS_PER_YEAR)) if len(returns) > 1 else math.nan


def sharpe(excess: Floats) -> float:
    """Annual Sharpe ratio: mean over standard deviation (ddof 1) of the excess returns, × √252 (Sharpe 1994)."""
    deviation = float(np.std(excess, ddof=1)) if len(excess) > 1 else 0.0
    return float(np.mean(excess)) / deviation * math.sqrt(SESSIONS_PER_YEAR) if deviation > 1e-15 else math.nan


def sortino(excess: Floats) -> float:
    """Annual Sortino ratio: mean excess over `√mean(min(excess, 0)²)` of all sessions, × √252 (Sortino 1994)."""
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2))) if len(excess) else 0.0
    return float(np.mean(excess)) / downside * math.sqrt(SESSIONS_PER_YEAR) if downside > 0 else math.nan


def drawdowns(levels: Floats) -> Floats:
    """Fall of each level from the highest so far, (T,) fractions, 0 or negative: `level / running maximum − 1`."""
    return np.asarray(levels / np.maximum.accumulate(levels) - 1.0)


def maximum_drawdown(levels: Floats) -> Drawdown:
    """Deepest drawdown of positive levels (T,), the first one if several are equal, with its peak, trough and recovery.

    >>> maximum_drawdown(np.array([100.0, 120.0, 90.0, 110.0, 120.0]))
    Drawdown(depth=-0.25, peak=1, trough=2, recovery=4)
    """
    if not len(levels) or not np.all(levels > 0):
        raise DataError("a drawdown needs at least one level, and every level above zero")
    falls = drawdowns(levels)
    trough = int(np.argmin(falls))
    peak = int(np.flatnonzero(falls[: trough + 1] == 0.0)[-1])
    recovered = np.flatnonzero(levels[trough:] >= levels[peak])
    return Drawdown(float(falls[trough]), peak, trough, trough + int(recovered[0]) if len(recovered) else None)


def calmar(growth: float, depth: float) -> float:
    """CAGR over the size of the maximum drawdown (Young 1991, here over the whole span); NaN without a drawdown."""
    return growth / -depth if depth < 0 else math.nan


def annual_turnover(turnover: Floats) -> float:
    """Mean turnover of a session × 252: fractions of equity a year, one side (`½(Σ|Δw| + |Δcash|)` a session)."""
    return float(np.mean(turnover) * SESSIONS_PER_YEAR) if len(turnover) else math.nan


def beta(excess: Floats, benchmark: Floats) -> float:
    """Slope of the excess returns on the benchmark's excess returns, least squares: covariance over variance."""
    centred = benchmark - benchmark.mean() if len(benchmark) else benchmark
    variance = float(centred @ centred)
    return float(centred @ excess) / variance if variance > 0 else math.nan


def alpha(excess: Floats, benchmark: Floats) -> float:
    """Jensen's alpha, fraction a year: `252 · (mean excess − beta · mean benchmark excess)` (Jensen 1968)."""
    slope = beta(excess, benchmark)
    return float(SESSIONS_PER_YEAR * (np.mean(excess) - slope * np.mean(benchmark))) if len(excess) else math.nan


def tracking_error(returns: Floats, benchmark: Floats) -> float:
    """Annual volatility of the return difference to the benchmark, fraction."""
    return annual_volatility(returns - benchmark)


def information_ratio(returns: Floats, benchmark: Floats) -> float:
    """Mean return difference over its standard deviation, × √252 (Grinold and Kahn 2000)."""
    return sharpe(returns - benchmark)


def hit_rate(returns: Floats) -> float:
    """Share of sessions with a return above zero, among those whose return is not zero."""
    moved = returns[returns != 0]
    return float(np.mean(moved > 0)) if len(moved) else math.nan


def skewness(returns: Floats) -> float:
    """Third standardised population moment, `m3 / m2^1.5`; 0 for a symmetric distribution."""
    return _standardised_moment(returns, 3)


def kurtosis(returns: Floats) -> float:
    """Fourth standardised population moment, `m4 / m2²`, NON-excess: 3 for a normal distribution."""
    return _standardised_moment(returns, 4)


def _standardised_moment(returns: Floats, order: int) -> float:
    centred = returns - returns.mean() if len(returns) else returns
    variance = float(np.mean(centred**2)) if len(returns) else 0.0
    return float(np.mean(centred**order)) / variance ** (order / 2) if variance > 1e-30 else math.nan


def _worst(returns: Floats, level: float) -> Floats:
    if not 0 < level < 1:
        raise DataError(f"the level of a value at risk lies between 0 and 1, not {level}")
    count = math.ceil(round(len(returns) * (1.0 - level), 9))
    return np.sort(returns)[: max(count, 1)]


def value_at_risk(returns: Floats, level: float = 0.95) -> float:
    """Historical value at risk of a session, loss as a positive fraction: minus the ⌈T(1 − level)⌉-th worst return."""
    return -float(_worst(returns, level)[-1]) if len(returns) else math.nan


def conditional_value_at_risk(returns: Floats, level: float = 0.95) -> float:
    """Mean loss of the ⌈T(1 − level)⌉ worst sessions, positive fraction (Rockafellar and Uryasev 2000)."""
    return -float(np.mean(_worst(returns, level))) if len(returns) else math.nan


def tbill_returns(percent: Floats, dates: Dates) -> Floats:
    """Return per session (T,) of a three-month bill quoted as FRED's DTB3: percent on a discount basis, 360-day year.

    The quote d prices 1 USD due in 91 days at `p = 1 − d/100 · 91/360`; the bill grows by `p^(−days/91) − 1` from one
    session to the next, `days` by the calendar. Row t uses `percent[t]`, the rate known before session t; the first
    row has no previous session: 0.

    >>> tbill_returns(np.array([5.0, 5.0]), np.array(["2023-06-01", "2023-06-02"], dtype="datetime64[D]")).round(8)
    array([0.        , 0.00013978])
    """
    if len(percent) != len(dates):
        raise DataError(f"{len(percent)} T-bill rates for {len(dates)} dates")
    price = 1.0 - percent / 100.0 * BILL_DAYS / 360.0
    days = np.diff(dates, prepend=dates[:1]) / np.timedelta64(1, "D")
    return np.asarray(price ** (-days / BILL_DAYS) - 1.0, dtype=np.float64)


def describe(
    returns: Floats, tbill: Floats, levels: Floats, first: np.datetime64, last: np.datetime64
) -> dict[str, float]:
    """Figures of one return series; `levels` (T+1,) is the path behind `returns` (T,), from `first` to `last`."""
    excess = returns - tbill
    worst = maximum_drawdown(levels)
    total = total_return(returns)
    growth = cagr(total, first, last)
    return {
        "total_return": total,
        "cagr": growth,
        "volatility": annual_volatility(returns),
        "sharpe": sharpe(excess),
        "sharpe_standard_error": sharpe_standard_error(excess),
        "sortino": sortino(excess),
        "calmar": calmar(growth, worst.depth),
        "maximum_drawdown": worst.depth,
        "drawdown_sessions": float(worst.trough - worst.peak),
        "recovery_sessions": math.nan if worst.recovery is None else float(worst.recovery - worst.trough),
        "skewness": skewness(returns),
        "kurtosis": kurtosis(returns),
        "hit_rate": hit_rate(returns),
        "value_at_risk_95": value_at_risk(returns),
        "conditional_value_at_risk_95": conditional_value_at_risk(returns),
    }


def summary(run: Run) -> dict[str, float]:
    """Every figure of a run by name; the benchmark's own begin with `benchmark_`. Units: this module's functions.

    What cannot be computed is NaN (null in metrics.json), such as a recovery that has not come or a ratio of a
    one-day run.
    """
    path, span = run.performance(), (run.first_date, run.last_date)
    own = describe(path.strategy, path.tbill, path.strategy_levels, *span)
    market = describe(path.benchmark, path.tbill, path.benchmark_levels, *span)
    excess, market_excess = path.strategy - path.tbill, path.benchmark - path.tbill
    trials = run.manifest.trials
    return {
        "sessions": float(len(run.equity)),
        **own,
        "turnover_chosen": annual_turnover(run.column("equity", "turnover_chosen")),
        "turnover_forced": annual_turnover(run.column("equity", "turnover_forced")),
        "mean_positions": float(np.mean(run.column("equity", "positions"))),
        "mean_invested": float(np.mean(run.column("equity", "invested"))),
        "beta": beta(excess, market_excess),
        "alpha": alpha(excess, market_excess),
        "alpha_t": newey_west_alpha(excess, market_excess).t,
        "tracking_error": tracking_error(path.strategy, path.benchmark),
        "information_ratio": information_ratio(path.strategy, path.benchmark),
        "probabilistic_sharpe": probabilistic_sharpe(excess),
        "deflated_sharpe": deflated_sharpe(excess, trials),
        "trials": float(trials),
        "costs": float(run.column("orders", "fee").sum() + run.column("orders", "slippage").sum()),
        **{f"benchmark_{name}": value for name, value in market.items()},
    }
