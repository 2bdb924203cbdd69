"""From target weights to whole shares within the limits, and from shares to orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from quant50 import limits as limit
from quant50.errors import DataError
from quant50.limits import Limits, Violation
from quant50.panel import Bools, Floats, Ints

KEEP: Final = 1e-7
"""A target weight this near to the held one keeps the share count."""

TOLERANCE: Final = 1e-9
"""Excess over a limit, in the limit's own unit, that is rounding of floating point numbers and no breach."""


@dataclass(frozen=True)
class Sized:
    """Whole shares of n names within the limits.

    Attributes
    ----------
    shares : (n,) int64
    trimmed : (n,) int64, shares sold beyond (or bought short of) the plain rounding, so that a limit holds
    given_back : (n,) int64, shares of planned sales kept, so that rounding does not break the turnover limit
    violations : limits that still do not hold; empty unless names that cannot be traded or rung 2 break them
    """

    shares: Ints
    trimmed: Ints
    given_back: Ints
    violations: tuple[Violation, ...]


def whole_shares(weights: Floats, held: Floats, held_shares: Ints, equity: float, close: Floats) -> Ints:
    """`floor(weight · equity / close)` shares, (n,); a weight within 1e-7 of the held one keeps the share count.

    Parameters
    ----------
    weights, held : (n,) target and held weights, fractions of equity
    held_shares : (n,) whole shares held
    equity : USD
    close : (n,) USD a share at the close of t

    Raises
    ------
    DataError
        Equity is not positive, or a price or weight is not finite.

    Examples
    --------
    >>> held, shares = np.array([0.0, 0.5]), np.array([0, 5])
    >>> whole_shares(np.array([0.1, 0.5]), held, shares, 999.0, np.array([30.0, 99.9])).tolist()
    [3, 5]
    """
    if not equity > 0 or not np.isfinite(equity):
        raise DataError(f"sizing: equity must be positive, not {equity}")
    if not (np.isfinite(close).all() and (close > 0).all() and np.isfinite(weights).all()):
        raise DataError("sizing: weights must be finite and closes positive")
    shares = np.floor(weights * equity / close).astype(np.int64)
    return np.asarray(np.where(np.abs(weights - held) < KEEP, held_shares, shares))


def size(weights: Floats, held_shares: Ints, equity: float, close: Floats, covariance: Floats, limits: Limits) -> Sized:
    """Whole shares for target weights, with every limit judged on the whole shares at the close of t.

    Rounding down frees cash but can raise the volatility (a hedge shrinks) and the sales. Names over their cap, groups
    and the sum are cut first, then the names of the largest marginal risk until the volatility holds; at last planned
    sales are reduced share by share, where no other limit minds, until the turnover holds.

    Parameters
    ----------
    weights : (n,) targets
    held_shares : (n,) int64 whole shares held
    equity : USD
    close : (n,) USD
    covariance : (n, n) of returns per session
    limits : Limits of these n names

    Returns
    -------
    Sized
    """
    unit = close / equity
    held = held_shares * unit
    plain = whole_shares(weights, held, held_shares, equity, close)
    plain = np.where(limits.pinned, held_shares, plain)
    widened = limit.attainable(held, covariance, limits)
    shares = _cut_sums(plain.copy(), held, unit, widened)
    shares = _cut_volatility(shares, unit, covariance, widened)
    trimmed = plain - shares
    allowed = max(limits.turnover, limit.turnover(limit.after_forced(held, limits), weights))
    kept = _give_back(shares, weights, held, unit, covariance, widened, allowed)
    return Sized(kept, trimmed, kept - shares, limit.violations(kept * unit, held, covariance, limits, TOLERANCE))


def _cut_sums(shares: Ints, held: Floats, unit: Floats, limits: Limits) -> Ints:
    """Shares cut until caps, group caps and the invested limit hold; the largest weight gives way first."""
    _, upper = limit.bounds(held, limits)
    free = ~limits.pinned
    over = free & (shares * unit > upper + TOLERANCE)
    shares[over] = np.floor(upper[over] / unit[over] + TOLERANCE).astype(np.int64)
    groups = [(limits.groups == code, cap) for code, cap in enumerate(limits.group_caps)]
    for inside, cap in [*groups, (np.ones(len(unit), dtype=bool), limits.invested)]:
        while (excess := float((shares * unit)[inside].sum()) - cap) > TOLERANCE:
            column = _largest(shares * unit, inside & free & (shares > 0))
            if column < 0:
                break
            shares[column] -= min(int(np.ceil((excess - TOLERANCE) / unit[column])), int(shares[column]))
    return shares


def _cut_volatility(shares: Ints, unit: Floats, covariance: Floats, limits: Limits) -> Ints:
    """Shares cut by largest marginal risk until the volatility holds; the tangent never cuts more than is needed."""
    bound = limits.volatility**2 / limit.SESSIONS_PER_YEAR
    while True:
        weights = shares * unit
        marginal = covariance @ weights
        excess = float(weights @ marginal) - bound
        column = _largest(marginal, ~limits.pinned & (shares > 0) & (marginal > 0))
        if limit.volatility(weights, covariance) <= limits.volatility + TOLERANCE or column < 0:
            return shares
        shares[column] -= min(max(int(excess / (2.0 * marginal[column] * unit[column])), 1), int(shares[column]))


def _give_back(
    shares: Ints, weights: Floats, held: Floats, unit: Floats, covariance: Floats, limits: Limits, allowed: float
) -> Ints:
    """Shares with planned sales reduced until chosen turnover is at most `allowed`, or no limit lets more go back.

    Where the sum of weights is at its limit too, a share kept is paid for with shares of the largest purchase.
    """
    base = limit.after_forced(held, limits)
    _, upper = limit.bounds(held, limits)
    open_columns = ~limits.pinned
    while (before := limit.turnover(base, shares * unit)) > allowed + TOLERANCE:
        now = shares * unit
        column = _largest(weights - now, open_columns & (now < base - TOLERANCE) & (now + unit <= upper + TOLERANCE))
        if column < 0:
            break
        purchase = _largest(now - base, ~limits.pinned & (now > base))
        for paid in (-1, purchase):
            trial = shares.copy()
            trial[column] += 1
            if paid >= 0:
                trial[paid] -= min(int(np.ceil(unit[column] / unit[paid])), int(trial[paid]))
            broken = limit.violations(trial * unit, held, covariance, limits, TOLERANCE)
            less = limit.turnover(base, trial * unit) < before - TOLERANCE / 10
            if less and all(item.name == "turnover" for item in broken):
                shares = trial
                break
        else:
            open_columns[column] = False
    return shares


def _largest(values: Floats, among: Bools) -> int:
    """Column of the largest value among some, the first of equals; −1 if there is none."""
    return int(np.argmax(np.where(among, values, -np.inf))) if np.any(among) else -1


def order_quantities(target: Ints, shares: Ints, open_quantity: Ints) -> Ints:
    """Signed orders, (n,): target less shares held less open orders; a sale never exceeds what is held and unsold.

    Parameters
    ----------
    target, shares : (n,) whole shares wanted and held
    open_quantity : (n,) signed quantity of orders not yet filled

    Examples
    --------
    >>> order_quantities(np.array([10, 0, 0]), np.array([4, 5, 5]), np.array([2, 0, 3])).tolist()
    [4, -5, -5]
    """
    sellable = np.maximum(shares + np.minimum(open_quantity, 0), 0)
    return np.maximum(target - shares - open_quantity, -sellable)


def order_sequence(quantities: Ints, tickers: tuple[str, ...]) -> list[int]:
    """Columns with an order: sales first, then purchases, each by ticker.

    >>> order_sequence(np.array([5, -1, 0, 2, -3]), ("B", "D", "E", "A", "C"))
    [4, 1, 3, 0]
    """
    return sorted(np.flatnonzero(quantities).tolist(), key=lambda column: (quantities[column] > 0, tickers[column]))
