"""The panel: raw daily bars of many tickers on one calendar, and the returns that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

HISTORY_SESSIONS = 274
"""Sessions up to and including t that a decision at t may see."""


@dataclass(frozen=True)
class Panel:
    """Raw daily bars on T sessions × N tickers, with what was known of each ticker before each session.

    Attributes
    ----------
    dates : (T,) datetime64[D], strictly increasing sessions
    tickers : N ticker symbols, sorted
    open, high, low, close : (T, N) USD as traded, NaN where there was no trade
    volume : (T, N) shares as traded, NaN where there was no trade
    split : (T, N) new shares per old share on the ex-date, 1 otherwise
    dividend : (T, N) USD per OLD share on the ex-date (spin-offs included), 0 otherwise
    member : (T, N) bool, candidate of the session as known before it
    constituent : (T, N) bool, in the index according to the last holdings file before the session
    sector : (T, N) int8, sector code (`quant50.groups`) as known before the session
    is_etf : (N,) bool

    Raises
    ------
    DataError
        Shapes disagree, dates or tickers are unsorted, or prices are not positive.
    """

    dates: NDArray[np.datetime64]
    tickers: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    split: Floats
    dividend: Floats
    member: Bools
    constituent: Bools
    sector: NDArray[np.int8]
    is_etf: Bools

    def __post_init__(self) -> None:
        """Check shapes, order and signs."""
        shape = (len(self.dates), len(self.tickers))
        for name in (
            "open", "high", "low", "close", "volume", "split", "dividend", "member", "constituent", "sector",
        ):  # fmt: skip
            if getattr(self, name).shape != shape:
                raise DataError(f"panel: {name} has shape {getattr(self, name).shape}, expected {shape}")
        if self.is_etf.shape != (shape[1],):
            raise DataError(f"panel: is_etf has shape {self.is_etf.shape}, expected {(shape[1],)}")
        if list(self.tickers) != sorted(set(self.tickers)):
            raise DataError("panel: tickers must be unique and sorted")
        if np.any(np.diff(self.dates) <= np.timedelta64(0, "D")):
            raise DataError("panel: dates must be strictly increasing")
        with np.errstate(invalid="ignore"):
            if np.any(self.close <= 0) or np.any(self.open <= 0):
                raise DataError("panel: prices must be positive")

    def column(self, ticker: str) -> int:
        """Column of a ticker; DataError if it is not in the panel."""
        try:
            return self.tickers.index(ticker)
        except ValueError:
            raise DataError(f"panel: no ticker {ticker}") from None

    def rows(self, start: int, stop: int) -> Panel:
        """The sessions start … stop − 1 as a panel (views, no copy)."""
        return self._take((slice(start, stop), slice(None)))

    def columns(self, columns: Ints) -> Panel:
        """The given columns (ascending) as a panel."""
        return self._take((slice(None), columns))

    def _take(self, index: tuple[Any, Any]) -> Panel:
        rows, columns = index
        names = np.asarray(self.tickers, dtype=object)[columns]
        arrays = {
            name: getattr(self, name)[rows][:, columns]
            for name in (
                "open", "high", "low", "close", "volume", "split", "dividend", "member", "constituent", "sector",
            )
        }  # fmt: skip
        return Panel(dates=self.dates[rows], tickers=tuple(names), is_etf=self.is_etf[columns], **arrays)


@dataclass(frozen=True)
class Returns:
    """Returns that are free of splits and dividends, (T, N) each, per session.

    Attributes
    ----------
    total : close to close, `close_t · split_t / (close_{t-1} − dividend_t) − 1`; 0 on a session without a trade
        after the first bar, NaN up to and on the first bar
    overnight : previous close to open, same convention; 0 on a session without a trade
    intraday : open to close; 0 on a session without a trade, NaN before the first bar
    dollar_volume : close × volume in USD; 0 on a session without a trade, NaN before the first bar
    close : last close in the units of the session (a session without a trade carries the close before it,
        less dividend, over split), NaN before the first bar
    """

    total: Floats
    overnight: Floats
    intraday: Floats
    dollar_volume: Floats
    close: Floats


def begun(close: Floats) -> Bools:
    """Sessions from a ticker's first bar on, (T, N); the past alone tells no hole from a delisting.

    >>> begun(np.array([[np.nan], [1.0], [np.nan], [2.0], [np.nan]])).ravel().tolist()
    [False, True, True, True, True]
    """
    return np.asarray(np.logical_or.accumulate(np.isfinite(close), axis=0))


def returns(panel: Panel) -> Returns:
    """Total, overnight and intraday returns of a panel (LEAN's factor convention).

    A session without a trade has return 0 and carries the close forward in that session's units, so the next real bar
    holds the whole move, as LEAN's scaled history does (`Common/Data/Auxiliary/CorporateFactorProvider.cs`). Row t
    depends on rows up to t alone.
    """
    inside = begun(panel.close)
    traded = np.isfinite(panel.close)
    close = panel.close.copy()
    total = np.full(close.shape, np.nan)
    overnight = np.full(close.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        for t in range(1, close.shape[0]):
            base = (close[t - 1] - panel.dividend[t]) / panel.split[t]
            close[t] = np.where(traded[t], close[t], base)
            total[t] = close[t] / base - 1.0
            overnight[t] = np.where(traded[t], panel.open[t] / base - 1.0, 0.0)
    total[inside & ~traded] = 0.0
    overnight[np.isnan(total)] = np.nan
    intraday = np.where(traded, panel.close / panel.open - 1.0, np.where(inside, 0.0, np.nan))
    dollar_volume = np.where(traded, panel.close * panel.volume, np.where(inside, 0.0, np.nan))
    return Returns(total, overnight, intraday, dollar_volume, close)
