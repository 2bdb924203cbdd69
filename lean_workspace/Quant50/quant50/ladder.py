"""What is done when the full problem has no answer: the least turnover that meets the limits, and plain scaling."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from quant50.limits import SESSIONS_PER_YEAR, Limits, group_sums

Floats = NDArray[np.float64]

MAXIMUM_CUTS: Final[int] = 60
"""Tangent planes that may be added to stand for the volatility limit."""

NEARNESS: Final[float] = 1e-3
"""Weight of the summed moves beside the turnover: among portfolios of equal turnover the nearest is taken."""


def least_turnover(base: Floats, lower: Floats, upper: Floats, covariance: Floats, limits: Limits) -> Floats | None:
    """Weights within all limits but the turnover limit, which take the least turnover to reach.

    A linear programme (HiGHS), so independent of the solver of the full problem. The volatility limit enters by tangent
    planes of the full covariance (Kelley 1960): the set inside them holds every portfolio within the limit. What excess
    the last plane leaves, `scaled` removes.

    Parameters
    ----------
    base : (n,) weights to start from
    lower, upper : (n,) bounds of each weight
    covariance : (n, n) of returns per session
    limits : group caps, invested and volatility are used; they must be `attainable`

    Returns
    -------
    (n,) weights, or None if the solver has none
    """
    names = len(base)
    ones, nothing = np.ones(names), np.zeros(names)
    moves = np.concatenate([-NEARNESS * ones, 2 * NEARNESS * ones, [1.0]])
    membership = np.zeros((len(limits.group_caps), names))
    membership[limits.groups, np.arange(names)] = 1.0
    identity = sparse.identity(names)
    # columns: weights, purchases, turnover
    rows = sparse.bmat(
        [
            [identity, -identity, None],
            [None, ones[None, :], -np.ones((1, 1))],
            [-ones[None, :], ones[None, :], -np.ones((1, 1))],
            [sparse.csr_matrix(membership), None, None],
            [ones[None, :], None, None],
        ],
        format="csr",
    )
    right = np.concatenate([base, [0.0, -base.sum()], limits.group_caps, [limits.invested]])
    ranges = np.concatenate([np.column_stack([lower, upper]), np.tile([0.0, np.inf], (names + 1, 1))])
    bound = limits.volatility / np.sqrt(SESSIONS_PER_YEAR)
    weights: Floats | None = None
    for _ in range(MAXIMUM_CUTS):
        result = linprog(moves, A_ub=rows, b_ub=right, bounds=ranges, method="highs-ds")
        if result.status != 0:
            return None
        weights = np.clip(result.x[:names], lower, upper)
        gradient = covariance @ weights
        risk = float(np.sqrt(max(0.0, weights @ gradient)))
        if risk <= bound * (1 + 1e-6):
            break
        rows = sparse.vstack([rows, np.concatenate([gradient / risk, nothing, [0.0]])[None, :]], format="csr")
        right = np.append(right, bound)
    return None if weights is None else scaled(weights, lower, upper, covariance, limits)


def scaled(weights: Floats, lower: Floats, upper: Floats, covariance: Floats, limits: Limits) -> Floats:
    """Weights times the largest scalar in [0, 1] with which every limit but turnover is met.

    Names that cannot be traded (lower bound above zero) are not scaled. Names whose upper bound is zero are sold, and
    of more than `maximum_holdings` names the smallest are: neither could be met by any scalar but zero.

    Parameters
    ----------
    weights : (n,)
    lower, upper : (n,) bounds of each weight
    covariance : (n, n) of returns per session
    limits : must be `attainable`

    Returns
    -------
    (n,) weights
    """
    fixed = lower
    moving = np.where((lower > 0) | (upper <= 0), 0.0, weights)
    places = max(0, limits.maximum_holdings - np.count_nonzero(fixed))
    moving[np.argsort(-moving, kind="stable")[places:]] = 0.0
    ratios = [1.0, _room(limits.invested - fixed.sum(), moving.sum())]
    ratios += [
        _room(room, used)
        for room, used in zip(limits.group_caps - group_sums(fixed, limits), group_sums(moving, limits), strict=True)
    ]
    held = moving > 0
    ratios += list(upper[held] / moving[held])
    # |fixed + s moving| <= bound: the larger root of a quadratic in s
    square, cross = moving @ covariance @ moving, fixed @ covariance @ moving
    constant = fixed @ covariance @ fixed - limits.volatility**2 / SESSIONS_PER_YEAR
    if square > 0 and square + 2 * cross + constant > 0:
        ratios.append(float((-cross + np.sqrt(max(0.0, cross**2 - square * constant))) / square))
    return np.asarray(fixed + moving * max(0.0, min(ratios)))


def _room(room: float, used: float) -> float:
    """Largest share of what is used that fits into the room; 1 if nothing is used."""
    return max(0.0, room) / used if used > 0 else 1.0
