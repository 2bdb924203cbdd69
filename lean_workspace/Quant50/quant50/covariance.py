"""Covariance of returns: Ledoit-Wolf shrinkage in plain NumPy, and its factor form for the optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from quant50.errors import DataError

Floats = NDArray[np.float64]

MINIMUM_SESSIONS: Final[int] = 21
"""Known returns a name needs for a covariance of its own; with fewer it stands in as a volatile market portfolio."""

STAND_IN_QUANTILE: Final[float] = 0.75
"""Quantile of the other names' volatilities that such a stand-in is given."""


@dataclass(frozen=True)
class Covariance:
    """A covariance matrix of returns per session, and how it came about.

    Attributes
    ----------
    matrix : (n, n) symmetric, positive semi-definite, squared return per session
    shrinkage : weight of the scaled identity in it, in [0, 1]
    incomplete : (n,) bool, some of the column's returns were missing but it has a covariance of its own
    stand_in : (n,) bool, fewer than `MINIMUM_SESSIONS` returns were known
    """

    matrix: Floats
    shrinkage: float
    incomplete: NDArray[np.bool_]
    stand_in: NDArray[np.bool_]


@dataclass(frozen=True)
class FactorCovariance:
    """A covariance written as `loadings @ loadings.T + diag(specific)`.

    Attributes
    ----------
    loadings : (n, k) return per session of each name to a unit move of each factor
    specific : (n,) variance per session that the factors leave over, zero or more
    """

    loadings: Floats
    specific: Floats

    def matrix(self) -> Floats:
        """The (n, n) matrix that this form stands for."""
        return np.asarray(self.loadings @ self.loadings.T + np.diag(self.specific))


def ledoit_wolf(returns: Floats) -> Covariance:
    """Sample covariance (divisor W) shrunk towards a multiple of the identity.

    A missing return (NaN) counts as the name's own mean, and the column is then scaled by sqrt(W / known), so that its
    variance is that of the sessions known and the matrix stays positive semi-definite; covariances with complete names
    are pulled towards zero by sqrt(known / W). A name with fewer than `MINIMUM_SESSIONS` known returns takes the
    average series of the other names, scaled to the `STAND_IN_QUANTILE` of their volatilities.

    Parameters
    ----------
    returns : (W, n) returns per session, NaN where missing

    Returns
    -------
    Covariance

    Raises
    ------
    DataError
        Fewer than two sessions, an infinite return, or no name with enough known returns.

    Notes
    -----
    Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices", lemma 3.3. The
    squared norm of the matrix and the sum over all pairs of mean squared products come from (W, n) arrays alone.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(0, 0.01, (100, 3))
    >>> estimate = ledoit_wolf(rows)
    >>> bool(0 < estimate.shrinkage <= 1)
    True
    """
    if returns.ndim != 2 or returns.shape[0] < 2 or returns.shape[1] == 0:
        raise DataError(f"covariance: returns must be (W >= 2, n >= 1), not {returns.shape}")
    centred, incomplete, stand_in = _centred(returns)
    sessions, names = centred.shape
    sample = centred.T @ centred / sessions
    mean_variance = np.trace(sample) / names
    squared_norm = np.sum(sample**2)
    dispersion = squared_norm - names * mean_variance**2
    noise = (np.sum(np.sum(centred**2, axis=1) ** 2) / sessions - squared_norm) / sessions
    shrinkage = float(min(noise, dispersion) / dispersion) if noise > 0 and dispersion > 0 else 0.0
    matrix = (1 - shrinkage) * sample
    matrix.flat[:: names + 1] += shrinkage * mean_variance
    return Covariance(matrix, shrinkage, incomplete, stand_in)


def _centred(returns: Floats) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Centred returns (W, n) without NaN, and which names were incomplete or got a stand-in (see `ledoit_wolf`)."""
    if np.isinf(returns).any():
        raise DataError("covariance: infinite return")
    missing = np.isnan(returns)
    if not missing.any() and len(returns) >= MINIMUM_SESSIONS:
        nothing = np.zeros(returns.shape[1], dtype=bool)
        return returns - returns.mean(axis=0), nothing, nothing.copy()
    known = len(returns) - missing.sum(axis=0)
    enough = known >= min(MINIMUM_SESSIONS, len(returns))
    if not enough.any():
        raise DataError(f"covariance: no name has {MINIMUM_SESSIONS} known returns")
    counted = np.maximum(known, 1)
    mean = np.where(missing, 0.0, returns).sum(axis=0) / counted
    centred = np.where(missing, 0.0, returns - mean) * np.sqrt(len(returns) / counted)
    if not enough.all():
        own = centred[:, enough]
        average = own.mean(axis=1)
        average -= average.mean()
        volatility = np.quantile(np.sqrt(np.mean(own**2, axis=0)), STAND_IN_QUANTILE)
        spread = np.sqrt(np.mean(average**2))
        centred[:, ~enough] = (average * (volatility / spread if spread > 0 else 0.0))[:, None]
    return centred, (known < len(returns)) & enough, ~enough


def factor_form(covariance: Floats, factors: int) -> FactorCovariance:
    """Leading eigen-directions of a covariance plus the diagonal of what they leave over.

    The diagonal is exact; the covariances beyond the leading directions are left out, so the volatility of a portfolio
    is only approximate and has to be checked with the full matrix.

    Parameters
    ----------
    covariance : (n, n) symmetric, positive semi-definite, finite
    factors : number k of directions; zero columns fill up where n < k

    Returns
    -------
    FactorCovariance with loadings (n, factors)

    Examples
    --------
    >>> matrix = np.array([[4.0, 2.0], [2.0, 3.0]])
    >>> bool(np.allclose(factor_form(matrix, 2).matrix(), matrix))
    True
    """
    names = len(covariance)
    kept = min(factors, names)
    values, vectors = eigh(covariance, subset_by_index=(names - kept, names - 1), check_finite=True)
    loadings = np.zeros((names, factors))
    loadings[:, :kept] = vectors * np.sqrt(np.maximum(values, 0.0))
    specific = np.maximum(np.diag(covariance) - np.sum(loadings**2, axis=1), 0.0)
    return FactorCovariance(loadings, specific)
