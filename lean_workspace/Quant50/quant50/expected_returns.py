"""Expected returns over the horizon: market beta plus the model's score, scaled by its measured skill.

Grinold's rule: alpha = information coefficient × volatility × score (Grinold and Kahn, "Active Portfolio Management",
2000, chapter 6), on residual volatility; the market's part is beta times a premium that is a parameter, not a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from quant50.errors import DataError
from quant50.panel import Bools, Floats
from quant50.parameters import Parameters

BETA_SESSIONS = 252
RESIDUAL_SESSIONS = 63


@dataclass(frozen=True)
class ExpectedReturns:
    """Expected returns of n names over the horizon, fractions.

    Attributes
    ----------
    mean : (n,) expected total return over `horizon` sessions
    standard_error : (n,) of `mean`, from the standard error of the information coefficient; 0 for ETFs
    beta : (n,) against the market over 252 sessions
    residual_volatility : (n,) per session over 63 sessions
    unscored : members without a finite score, taken as score 0
    """

    mean: Floats
    standard_error: Floats
    beta: Floats
    residual_volatility: Floats
    unscored: int


def beta(returns: Floats, market: Floats) -> Floats:
    """Slope of each column on the market, (n,); 1 where the market does not vary.

    Parameters
    ----------
    returns : (W, n) total returns per session
    market : (W,) total returns of the market
    """
    centred = market - market.mean()
    variance = float(centred @ centred)
    if variance == 0.0:
        return np.ones(returns.shape[1])
    # One column's NaN must stay in that column, so the sum is written out instead of a matrix product.
    return np.asarray((centred[:, None] * (returns - returns.mean(axis=0))).sum(axis=0) / variance)


def residual_volatility(returns: Floats, market: Floats, betas: Floats) -> Floats:
    """Standard deviation (ddof 1) per session of `returns − beta · market`, (n,); shapes as `beta`."""
    return np.asarray((returns - market[:, None] * betas).std(axis=0, ddof=1))


def standardise(scores: Floats, member: Bools, clip: float) -> Floats:
    """Scores with cross-sectional mean 0 and standard deviation 1 among members, clipped; 0 elsewhere.

    Parameters
    ----------
    scores : (n,) NaN where the model gave none
    member : (n,) bool
    clip : bound on the result's size

    Examples
    --------
    >>> standardise(np.array([1.0, 3.0, np.nan, 9.0]), np.array([True, True, True, False]), 3.0).tolist()
    [-1.0, 1.0, 0.0, 0.0]
    """
    used = member & np.isfinite(scores)
    result = np.zeros(scores.shape)
    if used.any():
        values = scores[used] - scores[used].mean()
        spread = values.std()
        if spread > 1e-12:  # equal scores tell nothing apart
            result[used] = np.clip(values / spread, -clip, clip)
    return result


def expected_returns(
    returns: Floats,
    market: Floats,
    scores: Floats,
    member: Bools,
    ic: float,
    ic_standard_error: float,
    parameters: Parameters,
) -> ExpectedReturns:
    """Expected returns `h · beta · premium + IC · sigma · sqrt(h) · z` of one session.

    Parameters
    ----------
    returns : (W, n) total returns per session ending at t, W ≥ 252, without NaN
    market : (W,) total returns of the market on the same sessions
    scores : (n,) the model's scores at t, NaN where none
    member : (n,) bool, stocks that are scored: others (ETFs, names that left) have alpha 0
    ic, ic_standard_error : information coefficient of the model in force and its standard error

    Raises
    ------
    DataError
        The window is too short, not finite, or the coefficient is not finite.
    """
    if returns.shape[0] < BETA_SESSIONS or market.shape != returns.shape[:1]:
        raise DataError(
            f"expected returns: {returns.shape} returns and {market.shape} market, need {BETA_SESSIONS} rows"
        )
    if not (np.isfinite(returns).all() and np.isfinite(market).all()):
        raise DataError("expected returns: returns must be finite")
    if not (np.isfinite(ic) and ic_standard_error >= 0):
        raise DataError(f"expected returns: IC {ic} and its standard error {ic_standard_error} must be finite")
    betas = beta(returns[-BETA_SESSIONS:], market[-BETA_SESSIONS:])
    volatility = residual_volatility(returns[-RESIDUAL_SESSIONS:], market[-RESIDUAL_SESSIONS:], betas)
    z = standardise(scores, member, parameters.score_clip)
    horizon = parameters.horizon
    per_score = volatility * sqrt(horizon)
    return ExpectedReturns(
        mean=horizon * betas * parameters.market_premium / 252.0 + ic * per_score * z,
        standard_error=np.where(member, ic_standard_error * per_score, 0.0),
        beta=betas,
        residual_volatility=volatility,
        unscored=int((member & ~np.isfinite(scores)).sum()),
    )
