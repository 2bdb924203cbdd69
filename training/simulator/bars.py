"""What the broker may trade on: raw opens and closes, splits, cash paid per share, delistings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Bools, Floats, Ints, Panel


def paid_dividend(dividend: Floats) -> Floats:
    """Cash paid per share: the dividend rounded to the cent, half a cent upwards.

    LEAN derives dividends from its factor file and rounds them to the cent; which way half a cent goes depends on the
    file's digits. Half up is this project's choice, which its own export must make definite.

    >>> paid_dividend(np.array([0.205, 0.204, 1.0])).tolist()
    [0.21, 0.2, 1.0]
    """
    return np.asarray(np.floor(dividend * 100.0 + 0.5 + 1e-9) / 100.0)


@dataclass(frozen=True)
class MarketBars:
    """Raw daily bars on T sessions × N tickers, as the broker sees them.

    Attributes
    ----------
    dates : (T,) datetime64[D], strictly increasing sessions
    tickers : N ticker symbols, sorted
    open, close : (T, N) USD as traded, NaN where there was no trade
    split : (T, N) new shares per old share on the ex-date, 1 otherwise
    dividend : (T, N) USD per OLD share on the ex-date, as it is paid (to the cent), 0 otherwise
    last_session : (N,) row of the last bar of a ticker that is delisted after it, −1 if it never is
    traded : (T, N) bool, sessions with a bar
    mark : (T, N) USD, the last close in the units of the session's shares; 0 before the first bar

    Raises
    ------
    DataError
        Shapes disagree, dates or tickers are unsorted, prices or splits are not positive, a bar lacks its open or
        close, or a ticker trades after its last session.
    """

    dates: NDArray[np.datetime64]
    tickers: tuple[str, ...]
    open: Floats
    close: Floats
    split: Floats
    dividend: Floats
    last_session: Ints
    traded: Bools = field(init=False, repr=False)
    mark: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the arrays; derive `traded` and `mark`."""
        shape = (len(self.dates), len(self.tickers))
        for name in ("open", "close", "split", "dividend"):
            if getattr(self, name).shape != shape:
                raise DataError(f"market bars: {name} has shape {getattr(self, name).shape}, expected {shape}")
        if self.last_session.shape != shape[1:]:
            raise DataError(f"market bars: last_session has shape {self.last_session.shape}, expected {shape[1:]}")
        if list(self.tickers) != sorted(set(self.tickers)):
            raise DataError("market bars: tickers must be unique and sorted")
        if np.any(np.diff(self.dates) <= np.timedelta64(0, "D")):
            raise DataError("market bars: dates must be strictly increasing")
        traded = np.isfinite(self.close)
        self._check_values(traded)
        object.__setattr__(self, "traded", traded)
        object.__setattr__(self, "mark", self._marks(traded))

    def _check_values(self, traded: Bools) -> None:
        if np.any(np.isfinite(self.open) != traded):
            raise DataError("market bars: a bar must have both open and close")
        if np.any(self.open[traded] <= 0) or np.any(self.close[traded] <= 0):
            raise DataError("market bars: prices must be positive")
        if not (np.all(self.split > 0) and np.all(np.isfinite(self.split)) and np.all(np.isfinite(self.dividend))):
            raise DataError("market bars: splits must be positive and dividends finite")
        ended = np.flatnonzero(self.last_session >= 0)
        rows = np.arange(len(self.dates))[:, None]
        if np.any(self.last_session >= len(self.dates)) or np.any(traded[:, ended] & (rows > self.last_session[ended])):
            raise DataError("market bars: a ticker trades after its last session, or that lies outside the dates")
        if not np.all(traded[self.last_session[ended], ended]):
            raise DataError("market bars: a delisted ticker has no bar on its last session")

    def _marks(self, traded: Bools) -> Floats:
        mark = np.where(traded, self.close, 0.0)
        for t in range(1, len(mark)):
            mark[t] = np.where(traded[t], mark[t], mark[t - 1] / self.split[t])
        return mark

    def delisted(self, row: int) -> Bools:
        """Tickers that take no more orders at the close of a session: it is their last, or they are gone, (N,)."""
        return np.asarray((self.last_session >= 0) & (self.last_session <= row))


def market_bars(panel: Panel, last_session: Ints) -> MarketBars:
    """The bars of a panel, its dividends (per old share, spin-offs included) rounded as they are paid.

    Parameters
    ----------
    panel : raw bars
    last_session : (N,) row of the last bar of a ticker that is delisted after it, −1 if it never is
    """
    return MarketBars(
        dates=panel.dates, tickers=panel.tickers, open=panel.open, close=panel.close, split=panel.split,
        dividend=paid_dividend(panel.dividend), last_session=last_session,
    )  # fmt: skip
