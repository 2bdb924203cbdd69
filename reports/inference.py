"""What a Sharpe ratio or an alpha is worth: standard errors, probabilities and the price of having tried many times.

Everything inside is per session; only what a name or docstring calls annual is annual. Kurtosis is NON-excess (3 for
a normal), so the variance of a Sharpe ratio S is `1 − skewness·S + (kurtosis − 1)/4 · S²`, which is Lo's `1 + S²/2`
for a normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from quant50.errors import DataError

Floats = NDArray[np.float64]

SESSIONS_PER_YEAR = 252
LARGEST_SESSION_SHARPE = 1.0
"""A Sharpe ratio per session above this (16 a year) is taken for an annual one handed in by mistake."""
EULER_MASCHERONI = 0.5772156649015329


@dataclass(frozen=True)
class AlphaTest:
    """Annual alpha (fraction), its standard error (fraction a year), their ratio t and the number of lags used."""

    alpha: float
    standard_error: float
    t: float
    lags: int


def sharpe_variance(ratio: float, skewness: float, kurtosis: float) -> float:
    """Sampling variance × T of a Sharpe ratio per period, kurtosis NON-excess (Mertens 2002).

    >>> sharpe_variance(0.1, 0.0, 3.0)  # a normal's: 1 + S²/2
    1.005
    """
    return 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2


def _session_sharpe(excess: Floats) -> tuple[float, float]:
    """Sharpe ratio per session (ddof 1) and its sampling variance × T; NaN without variation or under 3 sessions."""
    deviation = float(np.std(excess, ddof=1)) if len(excess) > 2 else 0.0
    if not deviation > 1e-15:
        return math.nan, math.nan
    ratio = float(np.mean(excess)) / deviation
    z = (excess - excess.mean()) / float(np.std(excess))
    return ratio, sharpe_variance(ratio, float(np.mean(z**3)), float(np.mean(z**4)))


def sharpe_standard_error(excess: Floats) -> float:
    """Standard error of the annual Sharpe ratio, `√(252 · variance / T)` with skewness and kurtosis (Mertens 2002).

    Returns are taken as independent; see `lo_standard_error` for the normal case.
    """
    _, variance = _session_sharpe(excess)
    return math.sqrt(SESSIONS_PER_YEAR * variance / len(excess)) if variance >= 0 else math.nan


def lo_standard_error(annual_sharpe: float, sessions: int) -> float:
    """Standard error of the annual Sharpe ratio of independent normal returns (Lo 2002).

    `√(252 · (1 + S²/2) / T)` with S per session.

    >>> round(lo_standard_error(1.0, 2520), 4)
    0.3165
    """
    ratio = annual_sharpe / math.sqrt(SESSIONS_PER_YEAR)
    return math.sqrt(SESSIONS_PER_YEAR * (1.0 + ratio**2 / 2.0) / sessions) if sessions > 0 else math.nan


def _per_session(value: float, name: str) -> float:
    if not abs(value) <= LARGEST_SESSION_SHARPE:
        raise DataError(f"{name} is {value}, which is no Sharpe ratio per session; divide an annual one by √252")
    return value


def probabilistic_sharpe(excess: Floats, threshold: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds `threshold` (per SESSION) (Bailey and López de Prado 2012).

    `Φ((S − threshold) · √(T − 1) / √(1 − skewness·S + (kurtosis − 1)/4 · S²))`. DataError when the threshold is
    annual by its size.
    """
    return _probability_above(excess, _per_session(threshold, "the threshold"))


def _probability_above(excess: Floats, threshold: float) -> float:
    ratio, variance = _session_sharpe(excess)
    if not variance > 0:
        return math.nan
    return float(norm.cdf((ratio - threshold) * math.sqrt((len(excess) - 1) / variance)))


def expected_maximum_sharpe(trials: int, deviation: float) -> float:
    """Expected best Sharpe ratio of `trials` independent strategies without skill, in the units of `deviation`.

    `deviation · ((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e)))`, γ Euler–Mascheroni, `deviation` that of the Sharpe
    ratios across trials (Bailey and López de Prado 2014); 0 for one trial.

    >>> round(expected_maximum_sharpe(200, 1.0), 2)
    2.77
    >>> expected_maximum_sharpe(1, 1.0)
    0.0
    """
    if trials < 1:
        raise DataError(f"the number of trials is at least 1, not {trials}")
    if trials == 1:
        return 0.0
    first, second = norm.ppf(1.0 - 1.0 / trials), norm.ppf(1.0 - 1.0 / (trials * math.e))
    return float(deviation * ((1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second))


def deflated_sharpe(excess: Floats, trials: int, deviation: float | None = None) -> float:
    """Probabilistic Sharpe ratio against the best of `trials` strategies without skill.

    `deviation` is the standard deviation across the trials of their Sharpe ratios per SESSION; when it is not known,
    that of a strategy without skill, `1/√(T − 1)`, stands in. With one trial this is the probabilistic Sharpe ratio
    against 0 (Bailey and López de Prado 2014).
    """
    if len(excess) < 3:
        return math.nan
    spread = 1.0 / math.sqrt(len(excess) - 1) if deviation is None else _per_session(deviation, "the deviation")
    return _probability_above(excess, expected_maximum_sharpe(trials, spread))


def newey_west_alpha(excess: Floats, benchmark: Floats, lags: int | None = None) -> AlphaTest:
    """Alpha of `excess` (T,) on `benchmark` (T,) with Newey and West's (1987) standard error, Bartlett weights.

    `lags` defaults to `⌊4 (T/100)^(2/9)⌋` (Newey and West 1994). No small-sample correction. NaN without variation or
    under 3 sessions.
    """
    sessions = len(excess)
    if len(benchmark) != sessions:
        raise DataError(f"{sessions} excess returns for {len(benchmark)} of the benchmark")
    count = math.floor(4.0 * (sessions / 100.0) ** (2.0 / 9.0)) if lags is None else lags
    if sessions < 3 or not float(np.std(benchmark)) > 1e-15:
        return AlphaTest(math.nan, math.nan, math.nan, count)
    design = np.column_stack([np.ones(sessions), benchmark])
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ excess
    moments = design * (excess - design @ coefficients)[:, None]
    middle = moments.T @ moments
    for lag in range(1, min(count, sessions - 1) + 1):
        cross = moments[lag:].T @ moments[:-lag]
        middle += (1.0 - lag / (count + 1.0)) * (cross + cross.T)
    error = math.sqrt(max(float((inverse @ middle @ inverse)[0, 0]), 0.0))
    t = float(coefficients[0]) / error if error > 1e-15 else math.nan
    return AlphaTest(float(coefficients[0]) * SESSIONS_PER_YEAR, error * SESSIONS_PER_YEAR, t, count)
