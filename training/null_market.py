"""What the pipeline finds in simulated markets, pooled over seeds, and whether that is what was planted.

Seeds are independent series: standard errors are Newey and West's within each seed (10 lags, the five-session labels
overlap), and no autocovariance runs from one seed into the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from quant50.errors import DataError
from quant50.panel import Floats
from reports.inference import newey_west_alpha
from training.evaluation import NEWEY_WEST_LAGS, Mean

MINIMUM_SEEDS: Final = 5
"""Seeds the verdict is meant for; with fewer it is given all the same, and the table says so."""

WIDTH: Final = 2.0
"""Standard errors within which a figure of the null market must lie."""

LARGEST_IC_ERROR: Final = 0.005
"""Standard error of the mean rank IC above which the null test would have no power."""

RECOVERED: Final = 0.6
"""Share of a planted rank IC that must be found out of sample."""


@dataclass(frozen=True)
class SeedFigures:
    """What was found in the market of one seed.

    Attributes
    ----------
    seed : of the market
    ic : rank IC per session; auc : ROC-AUC per session less 0.5
    alpha : annual net alpha of the strategy on equal weight, fraction
    beta : slope of the strategy's excess returns on equal weight's
    turnover : chosen, fraction of equity a year
    cash_drag : what T-bills would have paid on the cash, which earns nothing, fraction a year; part of the alpha
    """

    seed: int
    ic: Mean
    auc: Mean
    alpha: Mean
    beta: float
    turnover: float
    cash_drag: float


@dataclass(frozen=True)
class Check:
    """One line of the verdict: what was held against which band, and whether it lies inside."""

    name: str
    found: str
    band: str
    passed: bool


def pool(series: Sequence[Mean]) -> Mean:
    """Mean over all sessions of independent series, with its standard error √(Σ (nᵢ/n)² sᵢ²).

    A series whose standard error is unknown makes the pooled one unknown (NaN), which no verdict passes.

    Raises
    ------
    DataError
        There is no series, or one without a session: its absence would go unnoticed.

    >>> pool([Mean(0.01, 0.004, 300), Mean(0.03, 0.016, 100)])
    Mean(value=0.015, standard_error=0.005, sessions=400)
    """
    if not series or any(one.sessions == 0 for one in series):
        raise DataError("null market: a market has no session with a known label; trade more weeks")
    sessions = sum(one.sessions for one in series)
    value = sum(one.sessions * one.value for one in series) / sessions
    variance = sum((one.sessions / sessions * one.standard_error) ** 2 for one in series)
    return Mean(value, math.sqrt(variance), sessions)


def net_alpha(equity: Floats, benchmark: Floats, tbill: Floats) -> Mean:
    """Annual alpha of the returns of `equity` over T-bills on those of `benchmark`, Newey-West with 10 lags.

    Parameters
    ----------
    equity, benchmark : (n,) levels at the closes, USD
    tbill : (n,) return of T-bills per session; the first is not used
    """
    excess, market = excess_returns(equity, tbill), excess_returns(benchmark, tbill)
    test = newey_west_alpha(excess, market, NEWEY_WEST_LAGS)
    return Mean(test.alpha, test.standard_error, len(excess))


def excess_returns(levels: Floats, tbill: Floats) -> Floats:
    """Returns (n − 1,) of levels (n,) over those of T-bills (n,).

    >>> excess_returns(np.array([100.0, 110.0]), np.array([0.0, 0.01])).round(12).tolist()
    [0.09]
    """
    return np.asarray(levels[1:] / levels[:-1] - 1.0 - tbill[1:])


def verdict(signal: float, ic: Mean, auc: Mean, alpha: Mean) -> list[Check]:
    """Hold the pooled figures against the bands: nothing where nothing was planted, most of it where something was.

    Parameters
    ----------
    signal : rank IC that was planted
    ic, auc, alpha : pooled; `auc` less 0.5

    Returns
    -------
    The checks of that kind of market; a NaN passes none.
    """
    if signal > 0:
        least = RECOVERED * signal
        share = f"{ic.value:.4f} ± {ic.standard_error:.4f} ({ic.value / signal:.0%} of {signal:g})"
        return [Check("signal recovered, mean rank IC", share, f"at least {least:.4f}", ic.value >= least)]
    error = Check(
        "standard error of the mean rank IC",
        f"{ic.standard_error:.5f}",
        f"at most {LARGEST_IC_ERROR:g}",
        ic.standard_error <= LARGEST_IC_ERROR,
    )
    return [
        _nothing("mean rank IC", ic, "{:+.4f} ± {:.4f}"),
        error,
        _nothing("AUC − 0.5", auc, "{:+.4f} ± {:.4f}"),
        _nothing("net alpha against equal weight", alpha, "{:+.2%} ± {:.2%} a year"),
    ]


def _nothing(name: str, mean: Mean, form: str) -> Check:
    """Whether a mean is 0 within `WIDTH` standard errors."""
    found = f"{form.format(mean.value, mean.standard_error)} (t {mean.t:.2f})"
    return Check(name, found, f"within {WIDTH:g} s.e. of 0", abs(mean.value) <= WIDTH * mean.standard_error)
