"""The optimiser: target weights of one session, always inside the limits, and always told how they came about.

Every rung's weights are checked by `limits.violations` with the full covariance; one that fails moves down the ladder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.covariance import factor_form
from quant50.errors import NumericalError
from quant50.groups import GROUPS
from quant50.ladder import least_turnover, scaled
from quant50.limits import (
    SESSIONS_PER_YEAR,
    Limits,
    after_forced,
    attainable,
    bounds,
    group_sums,
    turnover,
    violations,
    volatility,
)
from quant50.optimizer_records import GRID, TOLERANCE, Inputs, Solution
from quant50.parameters import Parameters
from quant50.problem import MarkowitzProblem, Terms

__all__ = ["GRID", "TOLERANCE", "Inputs", "Optimizer", "Solution"]

Floats = NDArray[np.float64]

MAXIMUM_CORRECTIONS: Final[int] = 4
"""Times the volatility bound may be tightened because the factor form understated the volatility."""

FIRST_MARGIN: Final[float] = 1e-3
"""Part by which the first volatility bound stays below the limit, to save a second solve on most days."""

MOST_ANTICIPATED: Final[float] = 0.02
"""Largest part by which the first volatility bound is tightened before any solve."""


@dataclass(frozen=True, kw_only=True)
class _Session:
    """Inputs made ready: no NaN, forced moves applied, limits attainable, sums narrowed by what rounding may add."""

    terms: Terms
    covariance: Floats
    base: Floats
    lower: Floats
    upper: Floats
    limits: Limits


@dataclass(frozen=True)
class _Attempt:
    """One try at the full problem."""

    weights: Floats | None
    status: str
    error: str
    corrections: int


class Optimizer:
    """One compiled problem, solved session after session for changing names and numbers.

    Parameters
    ----------
    size : most names of a session
    factors : directions of the factor covariance that the solver sees
    parameters : horizon, risk aversion and uncertainty aversion are used
    iteration_limit : of the solver; tests force the ladder with 1

    Raises
    ------
    BuildError
        The problem is not DPP, or a size is not positive.
    """

    def __init__(self, size: int, factors: int, parameters: Parameters, iteration_limit: int = 200) -> None:
        self.parameters = parameters
        self.problem = MarkowitzProblem(size, factors, len(GROUPS), iteration_limit)

    def solve(self, inputs: Inputs) -> Solution:
        """Target weights of one session; a failure of the solver moves down the ladder and is told in `error`.

        Parameters
        ----------
        inputs : Inputs of n <= size names

        Raises
        ------
        BuildError
            More names or groups than the optimiser was built for.
        NumericalError
            Not even the last rung is inside the limits by arithmetic; a fault of the program, never seen.
        """
        session = self._prepared(inputs)
        attempt = self._optimise(session)
        chosen = np.inf if attempt.weights is None else turnover(session.base, attempt.weights)
        if chosen <= inputs.limits.turnover + TOLERANCE:
            solution = self._told(inputs, session, attempt, 1, "")
            reason = "rung 1: limits broken"
        else:
            reason = (
                f"rung 1: {attempt.error or f'turnover {inputs.limits.turnover:g} is too little, {chosen:.6f} needed'}"
            )
            solution = self._told(inputs, session, attempt, 2, reason)
        if solution is None:
            reason += "; rung 2: " + (attempt.error or "limits broken")
            solution = self._told(inputs, session, self._nearest(session), 3, reason)
        if solution is None:
            reason += "; rung 3: no weights inside the limits"
            weights = scaled(session.base, session.lower, session.upper, session.covariance, session.limits)
            attempt = _Attempt(_rounded(weights, session), "scaled", "", 0)
            solution = self._told(inputs, session, attempt, 4, reason)
        if solution is None:
            raise NumericalError(f"optimiser: {reason}; rung 4: limits broken")
        return solution

    def objective(self, weights: Floats, inputs: Inputs) -> float:
        """Objective of weights (n,) under the full covariance, fraction of equity over the horizon.

        mu'w - aversion h w'Sigma w - c'|w - base| - aversion ||e * w||, where base is held after the forced moves:
        their cost is the same whatever is chosen.
        """
        return _objective(weights, self._prepared(inputs))

    def _prepared(self, inputs: Inputs) -> _Session:
        """Inputs made ready for the problem."""
        usable = inputs.usable()
        # A pair's covariance may be missing too: the name that is not held is the one left out.
        usable &= np.isfinite(inputs.covariance[:, usable]).all(axis=1)
        keep = usable | (inputs.held > 0)
        covariance = np.where(keep[:, None] & keep[None, :], inputs.covariance, 0.0)
        limits = attainable(inputs.held, covariance, inputs.limits)
        base = after_forced(inputs.held, limits)
        lower, upper = bounds(inputs.held, limits)
        upper = np.where(keep, upper, 0.0)
        fixed = np.where(limits.pinned, base, 0.0)
        margin = GRID * np.count_nonzero(base)
        narrowed = replace(
            limits,
            group_caps=np.maximum(limits.group_caps - margin, group_sums(fixed, limits)),
            invested=max(limits.invested - margin, float(fixed.sum())),
        )
        terms = Terms(
            expected_return=np.where(usable, inputs.expected_return, 0.0),
            standard_error=np.where(usable, inputs.standard_error, 0.0) * self.parameters.uncertainty_aversion,
            cost=np.where(usable, inputs.cost, 0.0),
            risk_aversion=self.parameters.risk_aversion * self.parameters.horizon,
            risk=factor_form(covariance, self.problem.factors),
        )
        return _Session(terms=terms, covariance=covariance, base=base, lower=lower, upper=upper, limits=narrowed)

    def _optimise(self, session: _Session) -> _Attempt:
        """The full problem; with too many names, the largest are kept and it is solved again.

        Kept are the names of largest weight (a pinned one always). If dropping the others takes more turnover than is
        allowed, kept are instead those largest in either the new or the base weights, if that takes less.
        """
        first = self._within_volatility(session)
        if first.weights is None or np.count_nonzero(first.weights) <= session.limits.maximum_holdings:
            return first
        best, least = first, np.inf
        for order in (first.weights, np.maximum(first.weights, session.base)):
            kept = np.where(_largest(order, first.weights, session), session.upper, session.lower)
            attempt = self._within_volatility(replace(session, upper=kept))
            taken = np.inf if attempt.weights is None else turnover(session.base, attempt.weights)
            if taken <= least:
                best, least = attempt, taken
            if least <= session.limits.turnover + TOLERANCE:
                break
        return best

    def _within_volatility(self, session: _Session) -> _Attempt:
        """Solve; while the full covariance says that the volatility is too high, tighten the bound in proportion.

        The first bound is set by what the factor form misses of the base's volatility: the new weights are near it,
        so a second solve is seldom needed.
        """
        self.problem.update(session.terms, session.base, session.lower, session.upper, session.limits)
        most = session.limits.volatility
        bound = most / np.sqrt(SESSIONS_PER_YEAR) * _seen_by_factors(session)
        for correction in range(MAXIMUM_CORRECTIONS + 1):
            outcome = self.problem.solve(len(session.base), bound)
            if outcome.weights is None:
                return _Attempt(None, outcome.status, outcome.error, correction)
            weights = _rounded(outcome.weights, session)
            reached = volatility(weights, session.covariance)
            if reached <= most + TOLERANCE:
                break
            bound *= most / reached * (1 - TOLERANCE)
        return _Attempt(weights, outcome.status, "", correction)

    def _nearest(self, session: _Session) -> _Attempt:
        """Rung 3: of the names held, the largest, at the least turnover that meets the hard limits."""
        kept = _largest(session.base, session.base, session) & (session.base > 0)
        upper = np.where(kept, session.upper, session.lower)
        weights = least_turnover(session.base, session.lower, upper, session.covariance, session.limits)
        return _Attempt(None if weights is None else _rounded(weights, session), "nearest", "", 0)

    def _told(self, inputs: Inputs, session: _Session, attempt: _Attempt, rung: int, error: str) -> Solution | None:
        """The solution of an attempt with all that is reported of it; None unless it is inside the limits."""
        weights = attempt.weights
        if weights is None:
            return None
        chosen = turnover(session.base, weights)
        limit = inputs.limits.turnover if rung == 1 else max(inputs.limits.turnover, chosen)
        limits = replace(inputs.limits, turnover=limit)
        if violations(weights, inputs.held, session.covariance, limits, TOLERANCE):
            return None
        return Solution(
            weights=weights,
            rung=rung,
            status=attempt.status,
            error=error,
            objective=_objective(weights, session),
            corrections=attempt.corrections,
            turnover_limit=limit,
            turnover_chosen=chosen,
            turnover_forced=turnover(inputs.held, session.base),
            volatility=volatility(weights, session.covariance),
            excluded=int(np.count_nonzero(~inputs.usable())),
        )


def _objective(weights: Floats, session: _Session) -> float:
    """Objective of weights (n,), see `Optimizer.objective`."""
    terms = session.terms
    return float(
        terms.expected_return @ weights
        - terms.risk_aversion * (weights @ session.covariance @ weights)
        - terms.cost @ np.abs(weights - session.base)
        - np.linalg.norm(terms.standard_error * weights)
    )


def _seen_by_factors(session: _Session) -> float:
    """Volatility of the base under the factor form over that under the full covariance; 1 for a base without risk."""
    risk, base = session.terms.risk, session.base
    full = float(base @ session.covariance @ base)
    seen = float(np.square(risk.loadings.T @ base).sum() + np.square(base) @ risk.specific)
    ratio = (1.0 - FIRST_MARGIN) * np.sqrt(seen / full) if full > 0 else 1.0
    return float(np.clip(ratio, 1.0 - MOST_ANTICIPATED, 1.0))


def _rounded(weights: Floats, session: _Session) -> Floats:
    """Weights on the grid, rounded towards the base so that turnover never grows; within a step of it, the base."""
    units = np.where(weights > session.base, np.floor(weights / GRID + 0.01), np.ceil(weights / GRID - 0.01))
    rounded = np.where(weights < GRID, 0.0, units / round(1 / GRID))
    stays = (np.abs(weights - session.base) <= GRID) & (session.base >= GRID)
    return np.clip(np.where(stays, session.base, rounded), session.lower, session.upper)


def _largest(order: Floats, tie: Floats, session: _Session) -> NDArray[np.bool_]:
    """Mask (n,) of as many names as may be held: pinned ones first, then by order and tie, both descending."""
    ranked = np.lexsort((-tie, -order, session.lower <= 0))
    mask = np.zeros(len(order), dtype=bool)
    mask[ranked[: session.limits.maximum_holdings]] = True
    return mask
