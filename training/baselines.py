"""Baselines that are linear in the feature ranks; they go through the same bundle and calibration as LightGBM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from quant50.errors import DataError

MOMENTUM_FEATURE = "momentum_12_1"


def ridge(features: NDArray[np.float32], target: NDArray[np.float32], penalty: float) -> tuple[tuple[float, ...], int]:
    """Coefficients of ridge regression of the target on feature ranks, missing ranks as 0, and how many there were.

    The intercept is fitted and left out: it moves no score against another of the same session. One thread, so that
    the sums are the same wherever it runs.

    Parameters
    ----------
    features : (R, F), target : (R,), penalty : of the squared coefficients (scikit-learn's alpha)

    Returns
    -------
    coefficients (F,), number of missing features
    """
    missing = np.isnan(features)
    present = np.where(missing, np.float32(0), features).astype(np.float64)
    with threadpool_limits(1):
        model = Ridge(alpha=penalty, solver="cholesky").fit(present, target.astype(np.float64))
    return tuple(float(value) for value in model.coef_), int(missing.sum())


def momentum(feature_names: Sequence[str], name: str = MOMENTUM_FEATURE) -> tuple[float, ...]:
    """Coefficients that pick out 12-1 momentum; DataError if the features lack it.

    >>> momentum(("volatility_21", "momentum_12_1"))
    (0.0, 1.0)
    """
    if name not in feature_names:
        raise DataError(f"momentum baseline: no feature {name}")
    return tuple(float(feature == name) for feature in feature_names)


def nothing(feature_names: Sequence[str]) -> tuple[float, ...]:
    """Coefficients that are all 0: the risk model alone decides."""
    return (0.0,) * len(feature_names)
