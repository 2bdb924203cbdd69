"""The two rules that act on losses: a stop-loss for each name and a drawdown guard for the portfolio.

Both count sessions between dates on the session calendar, so a restart after missed sessions counts them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Bools, Floats
from quant50.parameters import Parameters
from quant50.state import Mark

FLOOR_SESSIONS: Final = 63
"""Sessions of the volatility that bounds the stop's volatility from below."""

MINIMUM_EXPOSURE: Final = 0.05
"""Exposure below this counts as 0. Without it the guard would stall: exposure shrinks in proportion to itself as equity
falls, so it comes near 0 but seldom reaches it, and the reset that waits for 0 would not come."""


def sessions_since(dates: NDArray[np.datetime64], date: str) -> int:
    """Sessions from `date` to the last of `dates`, (W,) increasing; W or more when `date` lies before them.

    >>> sessions_since(np.array(["2020-01-02", "2020-01-03", "2020-01-06"], dtype="datetime64[D]"), "2020-01-03")
    1
    """
    passed = len(dates) - int(np.searchsorted(dates, np.datetime64(date, "D"), side="right"))
    if passed == 0 and dates[-1] != np.datetime64(date, "D"):
        raise DataError(f"risk: {date} lies after the session {dates[-1]}")
    return passed


@dataclass(frozen=True)
class StopLoss:
    """Sell a name when its total-return index since entry is more than `k · sigma · sqrt(n)` below its maximum.

    Sigma is the standard deviation (ddof 1) of the n daily total returns ending at t − 1, so that today's fall does not
    widen its own stop, but at least a fraction of the 63-session one ending at t − 1.

    Attributes
    ----------
    multiple, sessions, floor_fraction : k, n and the fraction
    cool_off : sessions after a stop during which the name is not bought
    """

    multiple: float
    sessions: int
    floor_fraction: float
    cool_off: int

    @classmethod
    def of(cls, parameters: Parameters) -> StopLoss:
        """The rule with the strategy's parameters."""
        return cls(
            parameters.stop_multiple,
            parameters.stop_sessions,
            parameters.stop_floor_fraction,
            parameters.cool_off_sessions,
        )

    def distance(self, returns: Floats) -> Floats:
        """Fall from the maximum that triggers, (n,) fraction; `returns` (W, n) total returns ending at t, W ≥ 64."""
        if returns.shape[0] <= max(FLOOR_SESSIONS, self.sessions):
            raise DataError(f"stop-loss: {returns.shape[0]} sessions of returns, need {FLOOR_SESSIONS + 1}")
        before = returns[:-1]
        sigma = before[-self.sessions :].std(axis=0, ddof=1)
        floor = self.floor_fraction * before[-FLOOR_SESSIONS:].std(axis=0, ddof=1)
        return np.asarray(self.multiple * np.maximum(sigma, floor) * sqrt(self.sessions))

    def triggered(self, marks: tuple[Mark, ...], returns: Floats) -> Bools:
        """Names to sell, (n,) bool; `marks` of the same n names. A name without volatility (NaN) is not sold."""
        fall = np.array([1.0 - mark.index / mark.maximum for mark in marks])
        return np.asarray(fall > self.distance(returns))


def advance(mark: Mark | None, returns: Floats, intraday: float) -> Mark:
    """A held name's mark at the close of t.

    Parameters
    ----------
    mark : at the last decision; None for a name that was not held then, taken as filled at the open of t
    returns : (k,) total returns of the sessions since the last decision
    intraday : open-to-close return of t
    """
    if mark is None:
        index = 1.0 + intraday
        return Mark(index, max(1.0, index))
    path = mark.index * np.cumprod(1.0 + returns)
    return mark if path.size == 0 else Mark(float(path[-1]), max(mark.maximum, float(path.max())))


@dataclass(frozen=True)
class Guard:
    """Drawdown guard: exposure `clip((limit − drawdown) / ramp, 0, 1)` of the equity's fall from the guard's peak.

    After `reset` sessions at exposure 0 the peak becomes the session's equity and the exposure returns by `step` at
    once and every `step_sessions`; a new fall from the new peak acts during the return too.
    """

    limit: float
    ramp: float
    reset: int
    step: float
    step_sessions: int

    @classmethod
    def of(cls, parameters: Parameters) -> Guard:
        """The rule with the strategy's parameters."""
        return cls(
            parameters.drawdown_limit,
            parameters.drawdown_ramp,
            parameters.guard_reset_sessions,
            parameters.guard_recovery_step,
            parameters.guard_recovery_sessions,
        )

    def exposure(self, drawdown: float) -> float:
        """Exposure at a drawdown, 0 below `MINIMUM_EXPOSURE`.

        >>> guard = Guard(0.10, 0.05, 21, 0.25, 5)
        >>> [round(guard.exposure(fall), 3) for fall in (0.0, 0.05, 0.075, 0.099, 0.2)]
        [1.0, 1.0, 0.5, 0.0, 0.0]
        """
        room = self.limit - drawdown
        raw = min(room / self.ramp, 1.0) if self.ramp > 0 else float(room > 0)
        return raw if raw >= MINIMUM_EXPOSURE else 0.0

    def returned(self, sessions: int) -> float:
        """Exposure given back so many sessions after a reset, at most 1."""
        return min(1.0, self.step * (1 + sessions // max(self.step_sessions, 1)))


@dataclass(frozen=True)
class GuardState:
    """The guard's part of the state: its peak in USD, and the dates of `State.zero_since` and `.recovery_since`."""

    peak: float
    zero_since: str
    recovery_since: str


def guard_step(
    guard: Guard, before: GuardState, equity: float, dates: NDArray[np.datetime64]
) -> tuple[float, GuardState]:
    """Exposure of a session and the guard's state after it.

    Parameters
    ----------
    guard : the rule
    before : state at the last decision
    equity : USD at the close of t, positive
    dates : (W,) sessions ending at t

    Raises
    ------
    DataError
        Equity is not positive.
    """
    if not equity > 0:
        raise DataError(f"drawdown guard: equity must be positive, not {equity}")
    today = str(dates[-1])
    peak, recovery = max(before.peak, equity), before.recovery_since
    exposure = guard.exposure(1.0 - equity / peak)
    if before.zero_since and exposure == 0.0 and sessions_since(dates, before.zero_since) >= guard.reset:
        peak, recovery, exposure = equity, today, 1.0
    if recovery:
        returned = guard.returned(sessions_since(dates, recovery))
        exposure = min(exposure, returned)
        if returned >= 1.0 or exposure == 0.0:
            recovery = ""
    zero_since = (before.zero_since or today) if exposure == 0.0 else ""
    return exposure, GuardState(peak, zero_since, recovery)


def cooling(stopped: Mapping[str, str], rule: StopLoss, dates: NDArray[np.datetime64]) -> dict[str, str]:
    """The stops whose cool-off still lasts at the last of `dates`: a stop at t bars buying until t + cool-off."""
    return {ticker: date for ticker, date in stopped.items() if sessions_since(dates, date) < rule.cool_off}
