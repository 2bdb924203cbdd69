"""The convex problem of one session, stated in cvxpy, compiled once and solved for changing numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import cvxpy
import numpy as np
from numpy.typing import NDArray

from quant50.covariance import FactorCovariance
from quant50.errors import BuildError
from quant50.limits import Limits

Floats = NDArray[np.float64]

cp: Any = cvxpy  # its own annotations are incomplete

TOLERANCES: Final[dict[str, float]] = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}
"""Clarabel's stopping tolerances, pinned; the problem is scaled so that its coefficients are about one."""

SOLVED: Final[frozenset[str]] = frozenset({cp.OPTIMAL, cp.OPTIMAL_INACCURATE})

EXCESS_PRICE: Final[float] = 100.0
"""Price of turnover above the limit, in units of the largest term of the objective. Far above what a unit of turnover
can earn, so that the penalty is exact: the limit is exceeded only where it must be, and then by the least."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The numbers of the objective, for n names; every term a fraction of equity over the horizon.

    Attributes
    ----------
    expected_return : (n,) over the horizon
    standard_error : (n,) of the expected return, times the aversion to it
    cost : (n,) per unit of weight traded
    risk_aversion : per unit of variance per session (aversion times horizon)
    risk : covariance per session in factor form
    """

    expected_return: Floats
    standard_error: Floats
    cost: Floats
    risk_aversion: float
    risk: FactorCovariance


@dataclass(frozen=True)
class Outcome:
    """What the solver said: weights (n,) unless it had none, its status and the text of its error, if any."""

    weights: Floats | None
    status: str
    error: str


class MarkowitzProblem:
    """Maximise return less risk, cost and uncertainty within the limits; names are padded to a fixed size.

    With w the weights, b >= 0 the purchases and s = b - (w - base) >= 0 the sales::

        maximise   mu'w - gamma w'Sigma w - c'(b + s) - ||e * w||
        subject to lower <= w <= upper,  group sums <= caps,  sum w <= invested
                   sum b <= turnover + x,  sum s <= turnover + x,  sqrt(w'Sigma w) <= volatility

    Turnover with cash counted is the larger of all purchases and all sales, so both bounds are linear. The excess x
    >= 0 has the price `EXCESS_PRICE`; it is zero wherever the limits can be met, else the least that is needed: the
    first two rungs of the ladder in one solve, and no infeasible problem for the solver to recognise. The risk
    enters once, as the bound v >= sqrt(w'Sigma w), with gamma v^2 in the objective. All numbers are cvxpy parameters.

    Parameters
    ----------
    size : most names of a session; fewer are padded with names whose weight is zero
    factors : columns of the risk loadings
    groups : number of groups with a cap
    iteration_limit : of the solver

    Raises
    ------
    BuildError
        The problem is not DPP (cvxpy would compile it anew at every solve), or a size is not positive.
    """

    def __init__(self, size: int, factors: int, groups: int, iteration_limit: int = 200) -> None:
        if min(size, factors, groups) < 1:
            raise BuildError("problem: size, factors and groups must be at least 1")
        self.size, self.factors, self.groups = size, factors, groups
        self.iteration_limit = iteration_limit
        self._weights = weights = cp.Variable(size)
        purchases = cp.Variable(size, nonneg=True)
        risk = cp.Variable()
        excess = cp.Variable(nonneg=True)
        self._gain = cp.Parameter(size)
        self._cost = cp.Parameter(size, nonneg=True)
        self._error = cp.Parameter(size, nonneg=True)
        self._risk_aversion = cp.Parameter(nonneg=True)
        self._base = cp.Parameter(size)
        self._base_sum = cp.Parameter()
        self._lower = cp.Parameter(size)
        self._upper = cp.Parameter(size)
        self._membership = cp.Parameter((groups, size))
        self._group_caps = cp.Parameter(groups)
        self._invested = cp.Parameter()
        self._turnover = cp.Parameter()
        self._loadings = cp.Parameter((factors, size))
        self._specific = cp.Parameter(size, nonneg=True)
        self._volatility = cp.Parameter()
        objective = (
            self._gain @ weights
            - 2 * (self._cost @ purchases)
            - self._risk_aversion * cp.square(risk)
            - cp.norm(cp.multiply(self._error, weights))
            - EXCESS_PRICE * excess
        )
        constraints = [
            weights >= self._lower,
            weights <= self._upper,
            purchases >= weights - self._base,
            cp.sum(purchases) <= self._turnover + excess,
            cp.sum(purchases) - cp.sum(weights) + self._base_sum <= self._turnover + excess,
            self._membership @ weights <= self._group_caps,
            cp.sum(weights) <= self._invested,
            cp.norm(cp.hstack([self._loadings @ weights, cp.multiply(self._specific, weights)])) <= risk,
            risk <= self._volatility,
        ]
        self.problem = cp.Problem(cp.Maximize(objective), constraints)
        if not self.problem.is_dcp(dpp=True):
            raise BuildError("problem: not DPP, every solve would compile it anew")
        self._compile()

    def _compile(self) -> None:
        """Solve once for zeros, so that the time and memory of the compilation are spent here."""
        for parameter in self.problem.parameters():
            parameter.value = np.zeros(parameter.shape)
        self._unit_risk = 1.0
        self.solve(self.size, 1.0)

    def update(self, terms: Terms, base: Floats, lower: Floats, upper: Floats, limits: Limits) -> None:
        """Write the numbers of a session of n <= size names.

        Parameters
        ----------
        terms : of the objective
        base : (n,) weights that purchases and sales count from
        lower, upper : (n,) bounds of each weight
        limits : turnover, volatility, groups and invested are used

        Raises
        ------
        BuildError
            More names, factors or groups than the problem was built for.
        """
        names = len(base)
        if names > self.size or len(limits.group_caps) > self.groups or terms.risk.loadings.shape[1] != self.factors:
            raise BuildError(f"problem: built for {self.size} names, {self.factors} factors, {self.groups} groups")
        gain = terms.expected_return + terms.cost
        deviation = np.sqrt(np.sum(terms.risk.loadings**2, axis=1) + terms.risk.specific)
        unit_risk = _positive(float(deviation.max()))
        # One scale for the objective, so that the solver's absolute tolerances mean the same whatever its size.
        unit = _positive(float(max(np.abs(gain).max(), terms.standard_error.max(), terms.risk_aversion * unit_risk**2)))
        self._unit_risk = unit_risk
        self._gain.value = self._padded(gain / unit)
        self._cost.value = self._padded(terms.cost / unit)
        self._error.value = self._padded(terms.standard_error / unit)
        self._risk_aversion.value = terms.risk_aversion * unit_risk**2 / unit
        self._base.value = self._padded(base)
        self._base_sum.value = float(base.sum())
        self._lower.value = self._padded(lower)
        self._upper.value = self._padded(upper)
        membership = np.zeros((self.groups, self.size))
        membership[limits.groups, np.arange(names)] = 1.0
        self._membership.value = membership
        caps = np.ones(self.groups) * len(base)
        caps[: len(limits.group_caps)] = limits.group_caps
        self._group_caps.value = caps
        self._invested.value = limits.invested
        self._turnover.value = limits.turnover
        loadings = np.zeros((self.factors, self.size))
        loadings[:, :names] = terms.risk.loadings.T / unit_risk
        self._loadings.value = loadings
        self._specific.value = self._padded(np.sqrt(terms.risk.specific) / unit_risk)

    def solve(self, names: int, session_volatility: float) -> Outcome:
        """Solve for the numbers of the last `update`.

        Parameters
        ----------
        names : n, how many of the weights to return
        session_volatility : bound on sqrt(w'Sigma w) per session, under the factor form

        Returns
        -------
        Outcome; the solver's failures are told, not raised
        """
        self._volatility.value = session_volatility / self._unit_risk
        options = {"max_iter": self.iteration_limit, "max_threads": 1, **TOLERANCES}
        try:
            with warnings.catch_warnings():
                # Many parameters: measured, compiling takes about a second, once. Inaccurate: the status tells it.
                warnings.filterwarnings("ignore", message="Your problem has too many parameters")
                warnings.filterwarnings("ignore", message="Solution may be inaccurate")
                # A warm start would make the answer depend on the sessions solved before.
                self.problem.solve(solver=cp.CLARABEL, warm_start=False, **options)
        except (cp.SolverError, ValueError, ArithmeticError) as error:
            return Outcome(None, "solver_error", str(error))
        status = str(self.problem.status)
        if status not in SOLVED or self._weights.value is None:
            return Outcome(None, status, f"solver ended with status {status}")
        return Outcome(np.asarray(self._weights.value[:names], dtype=np.float64), status, "")

    def _padded(self, values: Floats) -> Floats:
        """Values (n,) followed by zeros up to the fixed size."""
        padded = np.zeros(self.size)
        padded[: len(values)] = values
        return padded


def _positive(value: float) -> float:
    """The value, or one where it cannot be divided by."""
    return value if value > 0 else 1.0
