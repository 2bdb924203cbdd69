"""Limits of a portfolio and their check by plain arithmetic: this check decides, never a solver's status."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SESSIONS_PER_YEAR: Final[int] = 252
"""Sessions that a volatility per session is annualised with."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Everything a portfolio of n names must keep to; fractions are of equity.

    Attributes
    ----------
    caps : (n,) largest weight of each name
    groups : (n,) group code of each name, an index into `group_caps`
    group_caps : (G,) largest summed weight of each group
    turnover : largest chosen turnover of the session (see `turnover`), counted from `after_forced`
    volatility : largest annual volatility
    invested : largest summed weight, (1 - cash) times the exposure that the drawdown guard allows
    maximum_holdings : largest number of names with a weight
    pinned : (n,) bool, cannot be traded: the weight stays what it is, and whatever limit such names break all by
        themselves is widened to what they hold (`attainable`)
    shrink_only : (n,) bool, the weight may not rise above the held one
    forced_exit : (n,) bool, the move from the held weight down to the cap is forced (stop-loss: cap 0; leaving the
        index: a cap that falls from session to session); such a name may not be bought either

    Raises
    ------
    DataError
        Shapes disagree or a limit is negative or not finite.
    """

    caps: Floats
    groups: Ints
    group_caps: Floats
    turnover: float
    volatility: float
    invested: float
    maximum_holdings: int
    pinned: Bools
    shrink_only: Bools
    forced_exit: Bools

    def __post_init__(self) -> None:
        """Check shapes and signs."""
        names = self.caps.shape
        for field in ("groups", "pinned", "shrink_only", "forced_exit"):
            if getattr(self, field).shape != names:
                raise DataError(f"limits: {field} has shape {getattr(self, field).shape}, expected {names}")
        for field in ("caps", "group_caps", "turnover", "volatility", "invested", "maximum_holdings"):
            value = np.asarray(getattr(self, field))
            if not (np.isfinite(value).all() and (value >= 0).all()):
                raise DataError(f"limits: {field} must be finite and zero or more")
        if len(self.groups) and not (self.groups.min() >= 0 and self.groups.max() < len(self.group_caps)):
            raise DataError("limits: a group code has no cap")


@dataclass(frozen=True)
class Violation:
    """A limit that is broken: its name and by how much, in the limit's own unit."""

    name: str
    amount: float


def turnover(before: Floats, after: Floats) -> float:
    """Half of all moves, cash included: 1/2 (sum |dw_i| + |dcash|), which is the larger of all buys and all sales.

    Parameters
    ----------
    before, after : (n,) weights, fractions of equity; cash is what is left to one

    Examples
    --------
    >>> round(turnover(np.array([0.10, 0.0]), np.array([0.05, 0.08])), 12)
    0.08
    """
    moves = after - before
    return float(max(moves.clip(min=0).sum(), (-moves).clip(min=0).sum()))


def bounds(held: Floats, limits: Limits) -> tuple[Floats, Floats]:
    """Smallest and largest weight (n,) of each name on its own: pins, caps, no buying where only selling is allowed.

    Parameters
    ----------
    held : (n,) weights now
    limits : Limits
    """
    no_buying = limits.shrink_only | limits.forced_exit
    upper = np.where(no_buying, np.minimum(limits.caps, held), limits.caps)
    return np.where(limits.pinned, held, 0.0), np.where(limits.pinned, held, upper)


def after_forced(held: Floats, limits: Limits) -> Floats:
    """Held weights after the forced moves, the point that chosen turnover is counted from.

    First every name with a forced exit falls to its cap. If the sum is then still above the invested limit (the
    drawdown guard, or cash that has run short), all names that can be traded are scaled down by one factor.
    A name above its cap, or a group above its cap, by drift alone is no forced move.

    Parameters
    ----------
    held : (n,) weights now
    limits : Limits

    Returns
    -------
    (n,) weights
    """
    forced = limits.forced_exit & ~limits.pinned
    base = np.where(forced, np.minimum(held, limits.caps), held)
    fixed = float(base[limits.pinned].sum())
    free = float(base[~limits.pinned].sum())
    if fixed + free > limits.invested and free > 0:
        base = np.where(limits.pinned, base, base * max(0.0, limits.invested - fixed) / free)
    return base


def volatility(weights: Floats, covariance: Floats) -> float:
    """Annual volatility of weights (n,) under a covariance (n, n) of returns per session."""
    variance = float(weights @ covariance @ weights)
    return float(np.sqrt(max(0.0, variance) * SESSIONS_PER_YEAR))


def attainable(held: Floats, covariance: Floats, limits: Limits) -> Limits:
    """The limits, widened where the names that cannot be traded break them all by themselves.

    With these, holding the pinned names and nothing else always meets every limit but turnover.
    """
    if not limits.pinned.any():
        return limits
    fixed = np.where(limits.pinned, held, 0.0)
    return replace(
        limits,
        group_caps=np.maximum(limits.group_caps, group_sums(fixed, limits)),
        invested=max(limits.invested, float(fixed.sum())),
        volatility=max(limits.volatility, volatility(fixed, covariance)),
        maximum_holdings=max(limits.maximum_holdings, int(np.count_nonzero(fixed))),
    )


def group_sums(weights: Floats, limits: Limits) -> Floats:
    """Summed weight (G,) of each group."""
    return np.bincount(limits.groups, weights=weights, minlength=len(limits.group_caps)).astype(np.float64)


def violations(
    weights: Floats, held: Floats, covariance: Floats, limits: Limits, tolerance: float
) -> tuple[Violation, ...]:
    """Every limit that weights break by more than a tolerance.

    Parameters
    ----------
    weights, held : (n,) target and present weights, fractions of equity
    covariance : (n, n) full covariance of returns per session
    limits : Limits; those that pinned names break by themselves count as `attainable`
    tolerance : allowed excess, in the unit of each limit (fraction of equity, annual volatility)

    Returns
    -------
    tuple of Violation, empty if all limits hold; `finite`, `long_only`, `cap`, `pinned`, `group`, `invested`,
    `turnover`, `volatility`, `holdings`
    """
    if not np.isfinite(weights).all():
        return (Violation("finite", float(np.count_nonzero(~np.isfinite(weights)))),)
    limits = attainable(held, covariance, limits)
    lower, upper = bounds(held, limits)
    free = ~limits.pinned
    excess = {
        "long_only": _largest(-weights),
        "cap": _largest((weights - upper)[free]),
        "pinned": _largest(np.abs(weights - lower)[limits.pinned]),
        "group": _largest(group_sums(weights, limits) - limits.group_caps),
        "invested": float(weights.sum()) - limits.invested,
        "turnover": turnover(after_forced(held, limits), weights) - limits.turnover,
        "volatility": volatility(weights, covariance) - limits.volatility,
        "holdings": float(np.count_nonzero(weights) - limits.maximum_holdings),
    }
    return tuple(Violation(name, amount) for name, amount in excess.items() if amount > tolerance)


def _largest(values: Floats) -> float:
    """Largest value, minus infinity if there is none."""
    return float(values.max(initial=-np.inf))
