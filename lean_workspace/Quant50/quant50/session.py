"""What a decision is made of: the market and the model at the close of t, and the account's holdings."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Bools, Floats, Ints

HISTORY: Final = 252
"""Sessions of returns that a name needs before it may be bought."""

LIQUIDITY_SESSIONS: Final = 21
"""Sessions of dollar volume that liquidity is the mean of."""

VOLATILITY_SESSIONS: Final = 63
"""Sessions of total returns that the daily volatility of the impact is measured on."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """The close of session t as n names see it; nothing of t + 1 but what is announced (`blocked`).

    Attributes
    ----------
    dates : (W,) datetime64[D], the sessions of the return windows, the last is t; W ≥ 252
    tickers : n unique symbols, any order
    close : (n,) USD at t; a name that did not trade carries the last close in t's units (`quant50.panel.Returns.close`)
    traded : (n,) bool, has a bar at t
    returns : (W, n) total returns, NaN where unknown
    intraday : (n,) open to close return of t
    market : (W,) total returns of the market, finite
    dollar_volume : (21, n) USD of the sessions ending at t, NaN where unknown
    scores : (n,) of the model, NaN where none
    member : (n,) bool, stock that may be bought
    constituent : (n,) bool, stock in the index
    is_etf : (n,) bool
    groups : (n,) group code (`quant50.groups.GROUPS`)
    blocked : (n,) bool, a split, rename or delisting is known to take effect at t + 1
    ic, ic_standard_error : information coefficient of the model in force and its standard error

    Raises
    ------
    DataError
        Shapes disagree, the window is too short, or tickers repeat.
    """

    dates: NDArray[np.datetime64]
    tickers: tuple[str, ...]
    close: Floats
    traded: Bools
    returns: Floats
    intraday: Floats
    market: Floats
    dollar_volume: Floats
    scores: Floats
    member: Bools
    constituent: Bools
    is_etf: Bools
    groups: Ints
    blocked: Bools
    ic: float
    ic_standard_error: float

    def __post_init__(self) -> None:
        """Check shapes and order."""
        names, sessions = len(self.tickers), len(self.dates)
        shapes: dict[str, tuple[int, ...]] = {
            "returns": (sessions, names),
            "market": (sessions,),
            "dollar_volume": (LIQUIDITY_SESSIONS, names),
        }
        per_name = "close traded intraday scores member constituent is_etf groups blocked"
        for name, shape in {**dict.fromkeys(per_name.split(), (names,)), **shapes}.items():
            if getattr(self, name).shape != shape:
                raise DataError(f"session: {name} has shape {getattr(self, name).shape}, expected {shape}")
        if sessions < HISTORY:
            raise DataError(f"session: {sessions} sessions of returns, need {HISTORY}")
        if np.any(np.diff(self.dates) <= np.timedelta64(0, "D")):
            raise DataError("session: dates must be strictly increasing")
        if len(set(self.tickers)) != names:
            raise DataError("session: tickers must be unique")

    @property
    def date(self) -> str:
        """Session t as ISO text."""
        return str(self.dates[-1])

    def liquidity(self) -> Floats:
        """Mean dollar volume (n,) over 21 sessions; 0 where unknown."""
        return np.asarray(np.nan_to_num(self.dollar_volume).mean(axis=0))

    def daily_volatility(self) -> Floats:
        """Standard deviation (ddof 1), (n,), of the 63 daily total returns ending at t.

        A name with unknown returns takes the largest of the others'.
        """
        own = self.returns[-VOLATILITY_SESSIONS:].std(axis=0, ddof=1)
        known = np.isfinite(own)
        return np.asarray(np.where(known, own, own.max(initial=0.0, where=known)))

    def has_history(self) -> Bools:
        """Names (n,) whose last 252 returns are all known."""
        return np.asarray(np.isfinite(self.returns[-HISTORY:]).all(axis=0))

    def columns(self, columns: Ints) -> Session:
        """The session of some names, in the given order."""
        wide = {name: getattr(self, name)[:, columns] for name in ("returns", "dollar_volume")}
        narrow: dict[str, Any] = {
            name: getattr(self, name)[columns]
            for name in (
                "close", "traded", "intraday", "scores", "member", "constituent", "is_etf", "groups", "blocked",
            )
        }  # fmt: skip
        return Session(
            dates=self.dates,
            tickers=tuple(self.tickers[column] for column in columns),
            market=self.market,
            ic=self.ic,
            ic_standard_error=self.ic_standard_error,
            **wide,
            **narrow,
        )


@dataclass(frozen=True)
class Holdings:
    """The account at the close of t, for the session's n names in the session's order.

    Attributes
    ----------
    shares : (n,) int64 whole shares held, zero or more
    cash : USD
    equity : USD, cash plus shares at the close of t
    open_quantity : (n,) int64 signed quantity of orders not yet filled

    Raises
    ------
    DataError
        Equity is not positive, cash is not finite, or shares are negative.
    """

    shares: Ints
    cash: float
    equity: float
    open_quantity: Ints

    def __post_init__(self) -> None:
        """Check signs."""
        if not (isfinite(self.equity) and self.equity > 0 and isfinite(self.cash)):
            raise DataError(f"holdings: equity must be positive and cash finite, not {self.equity} and {self.cash}")
        if self.open_quantity.shape != self.shares.shape or np.any(self.shares < 0):
            raise DataError("holdings: shares and open quantities must have one shape and shares be zero or more")

    def columns(self, columns: Ints) -> Holdings:
        """The holdings of some names, in the given order; cash and equity stay those of the account."""
        return Holdings(self.shares[columns], self.cash, self.equity, self.open_quantity[columns])
