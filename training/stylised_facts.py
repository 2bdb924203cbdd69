"""Stylised facts of a daily equity market: what a simulated market must share with the real one.

Each fact is one number of a window of two years (504 sessions) of many stocks; a market's fact is the median over its
disjoint windows. The bands it is held against were measured on real windows (`training/stylised_bands.py`).

References: Cont (2001), Empirical properties of asset returns; Gopikrishnan et al. (1999) for the tail exponent;
Ding, Granger and Engle (1993) for the memory of |r|; Bouchaud, Matacz and Potters (2001) for the leverage effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError

Floats = NDArray[np.float64]

WINDOW: Final[int] = 504
"""Sessions of a window: two years."""

SESSIONS_PER_YEAR: Final[int] = 252

LEVERAGE_LAGS: Final[range] = range(1, 22)
LONG_LAGS: Final[range] = range(20, 41)
TAIL_FRACTION: Final[float] = 0.05


@dataclass(frozen=True)
class Sample:
    """Daily returns and activity of N stocks on T sessions, (T, N) each; NaN where a stock has no bar.

    Attributes
    ----------
    returns : total return, close to close
    overnight : return from the previous close to the open
    intraday : return from the open to the close
    range : log(high / low)
    dollar_volume : close × volume, USD (free of splits)
    dividends : 1 on an ex-dividend date, else 0
    splits : 1 on a split's ex-date, else 0
    """

    returns: Floats
    overnight: Floats
    intraday: Floats
    range: Floats
    dollar_volume: Floats
    dividends: Floats
    splits: Floats

    def __post_init__(self) -> None:
        """Check that all arrays share one shape."""
        for field in fields(self):
            if getattr(self, field.name).shape != self.returns.shape or self.returns.ndim != 2:
                raise DataError(f"stylised facts: {field.name} must be (sessions, stocks) like returns")

    def take(self, rows: slice | NDArray[np.int64], columns: NDArray[np.bool_] | slice = slice(None)) -> Sample:
        """Some sessions (in the given order) of some stocks."""
        return Sample(*(getattr(self, field.name)[rows][:, columns] for field in fields(self)))


class Row(NamedTuple):
    """One line of the table: a fact, its value, its band and whether the value lies inside."""

    fact: str
    value: float
    low: float
    high: float
    passed: bool


def window_facts(sample: Sample) -> dict[str, float]:
    """Every fact of one window, over the stocks with a complete bar on each of its sessions.

    Raises
    ------
    DataError
        Fewer than 60 sessions, or fewer than 10 stocks with complete bars.

    Returns
    -------
    dict of fact to value; volatility annual, dispersion per session, frequencies per stock and year
    """
    complete = np.isfinite(sample.returns).all(axis=0) & np.isfinite(sample.dollar_volume).all(axis=0)
    if len(sample.returns) < 60 or complete.sum() < 10:
        raise DataError(f"stylised facts: {len(sample.returns)} sessions of {complete.sum()} complete stocks")
    window = sample.take(slice(None), complete)
    returns, magnitude = window.returns, np.abs(window.returns)
    market = returns.mean(axis=1, keepdims=True)
    log_volume = np.log(np.maximum(window.dollar_volume, 1.0))
    years = returns.size / SESSIONS_PER_YEAR
    variance_overnight, variance_intraday = window.overnight.var(axis=0), window.intraday.var(axis=0)
    middle = np.median
    return {
        "annual volatility": float(middle(returns.std(axis=0)) * np.sqrt(SESSIONS_PER_YEAR)),
        "market volatility": float(market.std() * np.sqrt(SESSIONS_PER_YEAR)),
        "pair correlation": pair_correlation(returns),
        "kurtosis": float(middle(excess_kurtosis(returns))),
        "market kurtosis": float(excess_kurtosis(market)[0]),
        "tail exponent": float(middle(hill(returns))),
        "autocorrelation of returns": float(correlation(returns[1:], returns[:-1]).mean()),
        "autocorrelation of |r|, lag 1": float(correlation(magnitude[1:], magnitude[:-1]).mean()),
        "autocorrelation of |r|, lags 20-40": lagged(magnitude, magnitude, LONG_LAGS),
        "leverage effect": lagged(returns, magnitude, LEVERAGE_LAGS),
        "market leverage effect": lagged(market, np.abs(market), LEVERAGE_LAGS),
        "overnight share of variance": float(middle(variance_overnight / (variance_overnight + variance_intraday))),
        "overnight kurtosis": float(middle(excess_kurtosis(window.overnight))),
        "intraday kurtosis": float(middle(excess_kurtosis(window.intraday))),
        "overnight against intraday": float(correlation(window.overnight, window.intraday).mean()),
        "range against |r|": float(middle(window.range.mean(axis=0) / magnitude.mean(axis=0))),
        "dispersion": float(returns.std(axis=1).mean()),
        "volume against |r|": float(correlation(log_volume, magnitude).mean()),
        "autocorrelation of log volume": float(correlation(log_volume[1:], log_volume[:-1]).mean()),
        "dividends a year": float(window.dividends.sum() / years),
        "splits a year": float(window.splits.sum() / years),
    }


def facts(sample: Sample, window: int = WINDOW) -> dict[str, float]:
    """Facts of a market: the median over its disjoint windows, the last one ending with the sample.

    Raises
    ------
    DataError
        The sample is shorter than one window.
    """
    every = windows(sample, window)
    return {name: float(np.median([one[name] for one in every])) for name in every[0]}


def windows(sample: Sample, window: int = WINDOW) -> list[dict[str, float]]:
    """Facts of each disjoint window, oldest first; DataError if the sample is shorter than one."""
    sessions = len(sample.returns)
    if sessions < window:
        raise DataError(f"stylised facts: {sessions} sessions are fewer than one window of {window}")
    starts = range(sessions % window, sessions, window)
    return [window_facts(sample.take(slice(start, start + window))) for start in starts]


def table(values: Mapping[str, float], bands: Mapping[str, tuple[float, float]]) -> list[Row]:
    """Hold facts against their bands; DataError for a fact without a band.

    >>> table({"kurtosis": 0.0}, {"kurtosis": (2.0, 9.0)})
    [Row(fact='kurtosis', value=0.0, low=2.0, high=9.0, passed=False)]
    """
    missing = sorted(set(values) - set(bands))
    if missing:
        raise DataError(f"stylised facts: no band for {', '.join(missing)}")
    return [Row(name, value, *bands[name], bands[name][0] <= value <= bands[name][1]) for name, value in values.items()]


def correlation(x: Floats, y: Floats) -> Floats:
    """Pearson correlation of the columns of x (T, N) with those of y, (N,); 0 where a column is constant.

    >>> correlation(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [4.0], [6.0]])).round(6).tolist()
    [1.0]
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    return np.divide((x * y).sum(axis=0), scale, out=np.zeros(x.shape[1]), where=scale > 0)


def lagged(earlier: Floats, later: Floats, lags: Sequence[int]) -> float:
    """Mean over stocks and lags of the correlation of `earlier` at t with `later` at t + lag."""
    return float(np.mean([correlation(earlier[:-lag], later[lag:]).mean() for lag in lags]))


def pair_correlation(returns: Floats) -> float:
    """Mean correlation of two different stocks, from the variance of the mean of the standardised returns."""
    deviation = returns.std(axis=0)
    standard = (returns - returns.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    stocks = returns.shape[1]
    return float((stocks * standard.mean(axis=1).var() - 1.0) / (stocks - 1))


def excess_kurtosis(returns: Floats) -> Floats:
    """Fourth standardised moment less 3 of each column, (N,); 0 for a constant column."""
    centred = returns - returns.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    return np.divide((centred**4).mean(axis=0), variance**2, out=np.full(len(variance), 3.0), where=variance > 0) - 3.0


def hill(returns: Floats, fraction: float = TAIL_FRACTION) -> Floats:
    """Hill's estimate of the tail exponent of |r − mean| of each column from its largest `fraction`, (N,)."""
    ordered = np.sort(np.abs(returns - returns.mean(axis=0)), axis=0)
    count = max(int(fraction * len(ordered)), 2)
    floor = np.maximum(ordered[-count - 1], 1e-12)
    return np.asarray(1.0 / np.maximum(np.log(np.maximum(ordered[-count:], 1e-12) / floor).mean(axis=0), 1e-12))
