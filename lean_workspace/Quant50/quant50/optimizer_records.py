"""What the optimiser is given for one session and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.limits import Limits

Floats = NDArray[np.float64]

GRID: Final[float] = 1e-6
"""Weights are multiples of this, but for names that are not traded."""

TOLERANCE: Final[float] = 1e-6
"""Excess over a limit (fraction of equity, annual volatility) that the check of every result lets pass."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the optimiser is given for one session of n names.

    Attributes
    ----------
    expected_return : (n,) over the horizon
    standard_error : (n,) of the expected return, same unit
    cost : (n,) linear trading cost per unit of weight traded
    held : (n,) weights now, fractions of equity
    covariance : (n, n) of returns per session
    limits : Limits
    equity : USD, positive

    Names that are not held (or are pinned) and have a number that is not finite are left alone, counted in
    `Solution.excluded`.

    Raises
    ------
    DataError
        No name, a wrong shape, equity not positive, a held weight that is negative or not finite, or a number of a held
        name that is not finite.
    """

    expected_return: Floats
    standard_error: Floats
    cost: Floats
    held: Floats
    covariance: Floats
    limits: Limits
    equity: float

    def __post_init__(self) -> None:
        """Check shapes, equity and every number of the held names."""
        names = len(self.held)
        if names == 0:
            raise DataError("optimiser: empty universe")
        if not (np.isfinite(self.equity) and self.equity > 0):
            raise DataError(f"optimiser: equity must be positive, not {self.equity}")
        for field in ("expected_return", "standard_error", "cost", "held"):
            if getattr(self, field).shape != (names,):
                raise DataError(f"optimiser: {field} has shape {getattr(self, field).shape}, expected {(names,)}")
        if self.covariance.shape != (names, names) or self.limits.caps.shape != (names,):
            raise DataError("optimiser: covariance or limits are not of the same names")
        if not (np.isfinite(self.held).all() and (self.held >= 0).all()):
            raise DataError("optimiser: held weights must be finite and zero or more")
        held = self.held > 0
        if not np.isfinite(self.covariance[np.ix_(held, held)]).all():
            raise DataError("optimiser: covariance of held names is not finite")
        if not self.usable()[held & ~self.limits.pinned].all():
            raise DataError("optimiser: expected return, error or cost of a held name is not finite (or negative)")

    def usable(self) -> NDArray[np.bool_]:
        """Names (n,) whose numbers are all finite, and error and cost not negative."""
        vectors = np.isfinite(self.expected_return) & (self.standard_error >= 0) & (self.cost >= 0)
        vectors &= np.isfinite(self.standard_error) & np.isfinite(self.cost)
        return np.asarray(vectors & np.isfinite(np.diag(self.covariance)))


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Target weights and how they came about.

    Attributes
    ----------
    weights : (n,) fractions of equity, multiples of 1e-6 or exactly the held weight
    rung : 1 full problem, 2 turnover limit raised, 3 nearest weights, 4 scaled weights
    status : solver's status on rungs 1 and 2, else the name of the rung
    error : why the rungs before failed, '' on rung 1
    objective : of the weights, under the full covariance; fraction of equity over the horizon
    corrections : times the volatility bound was tightened
    turnover_limit : in force on this rung
    turnover_chosen, turnover_forced : fractions of equity (`limits.turnover`)
    volatility : predicted, annual, under the full covariance
    excluded : names left out because a number of theirs was not finite
    """

    weights: Floats
    rung: int
    status: str
    error: str
    objective: float
    corrections: int
    turnover_limit: float
    turnover_chosen: float
    turnover_forced: float
    volatility: float
    excluded: int
