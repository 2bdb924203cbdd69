"""Is a score any good: rank IC, ROC-AUC and the Sharpe ratio of its top names, with errors that know of overlap.

Five-session labels of neighbouring sessions share four sessions, so every standard error here is Newey and West's
(Econometrica 55, 1987: Bartlett weights, no small-sample factor) over per-session figures, with at least 10 lags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from quant50.errors import DataError
from quant50.panel import Bools, Floats

NEWEY_WEST_LAGS = 10
SESSIONS_PER_YEAR = 252
MINIMUM_NAMES = 3
"""Names a session needs for a rank correlation; with fewer its figure is NaN and the session is not counted."""


@dataclass(frozen=True)
class Mean:
    """A mean over sessions: its value, Newey-West standard error (NaN below two sessions) and number of sessions."""

    value: float
    standard_error: float
    sessions: int

    @property
    def t(self) -> float:
        """Value over standard error; NaN where the error is 0 or unknown."""
        return self.value / self.standard_error if self.standard_error > 0 else float("nan")


def newey_west(series: Floats, lags: int = NEWEY_WEST_LAGS) -> Mean:
    """Mean of the finite values of a series (T,) with its Newey-West standard error.

    Variance of the mean is (γ₀ + 2 Σ_k (1 − k/(lags + 1)) γ_k) / n, autocovariances γ_k with divisor n.

    >>> newey_west(np.array([1.0, -1.0, 1.0, -1.0]), lags=0)
    Mean(value=0.0, standard_error=0.5, sessions=4)
    """
    values = series[np.isfinite(series)]
    n = len(values)
    if n < 2:
        return Mean(float(values.mean()) if n else float("nan"), float("nan"), n)
    deviation = values - values.mean()
    variance = float(deviation @ deviation) / n
    for lag in range(1, min(lags, n - 1) + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * float(deviation[lag:] @ deviation[:-lag]) / n
    return Mean(float(values.mean()), float(np.sqrt(max(variance, 0.0) / n)), n)


def _common(scores: Floats, excess: Floats, member: Bools | None) -> Bools:
    if scores.shape != excess.shape or (member is not None and member.shape != scores.shape):
        raise DataError(f"evaluation: scores {scores.shape}, labels {excess.shape} and members disagree")
    known = np.isfinite(scores) & np.isfinite(excess)
    return np.asarray(known if member is None else known & member)


def rank_ic(scores: Floats, excess: Floats, member: Bools | None = None) -> Floats:
    """Spearman correlation of scores and labels in each session, ties at their mean rank.

    Parameters
    ----------
    scores, excess : (T, N), NaN where unknown; member : (T, N), None for all

    Returns
    -------
    (T,) NaN where fewer than `MINIMUM_NAMES` names are known or all scores or all labels are equal
    """
    known = _common(scores, excess, member)
    result = np.full(len(scores), np.nan)
    for t in np.flatnonzero(known.sum(axis=1) >= MINIMUM_NAMES):
        a = rankdata(scores[t, known[t]])
        b = rankdata(excess[t, known[t]])
        a -= a.mean()
        b -= b.mean()
        scale = np.sqrt((a @ a) * (b @ b))
        if scale > 0:
            result[t] = (a @ b) / scale
    return result


def auc(scores: Floats, excess: Floats, member: Bools | None = None) -> Floats:
    """Area under the ROC curve of 'beats the session's median' in each session, (T,) (Mann-Whitney, ties count half).

    Returns
    -------
    (T,) NaN where a session has fewer than `MINIMUM_NAMES` names or only one class
    """
    known = _common(scores, excess, member)
    result = np.full(len(scores), np.nan)
    for t in np.flatnonzero(known.sum(axis=1) >= MINIMUM_NAMES):
        labels = excess[t, known[t]]
        beats = labels > np.median(labels)
        ranks = rankdata(scores[t, known[t]])
        ones = int(beats.sum())
        zeros = len(beats) - ones
        if ones and zeros:
            result[t] = (ranks[beats].sum() - ones * (ones + 1) / 2.0) / (ones * zeros)
    return result


def pooled_auc(scores: Floats, excess: Floats, member: Bools | None = None) -> float:
    """Area under the ROC curve over all sessions in one pool; NaN without both classes."""
    known = _common(scores, excess, member)
    counted = np.where(known, excess, np.nan)
    rows = np.flatnonzero(known.any(axis=1))
    median = np.nanmedian(counted[rows], axis=1)
    beats = (counted[rows] > median[:, None])[known[rows]]
    ranks = rankdata(scores[rows][known[rows]])
    ones = int(beats.sum())
    zeros = len(beats) - ones
    return float((ranks[beats].sum() - ones * (ones + 1) / 2.0) / (ones * zeros)) if ones and zeros else float("nan")


def top_returns(scores: Floats, returns: Floats, member: Bools | None = None, names: int = 50) -> tuple[Floats, Floats]:
    """Equal-weight return of the `names` best scores and of all scored names in each session, before costs.

    Parameters
    ----------
    scores, returns : (T, N); of equal scores the earlier columns come first

    Returns
    -------
    top, all : (T,) each, NaN where no name is known
    """
    known = _common(scores, returns, member)
    top = np.full(len(scores), np.nan)
    everything = np.full(len(scores), np.nan)
    for t in np.flatnonzero(known.any(axis=1)):
        order = np.argsort(-scores[t, known[t]], kind="stable")
        session = returns[t, known[t]]
        top[t] = session[order[:names]].mean()
        everything[t] = session.mean()
    return top, everything


def sharpe(series: Floats, sessions: int = 1) -> float:
    """Annual Sharpe ratio of returns that each span `sessions` sessions; NaN below two values or without spread."""
    values = series[np.isfinite(series)]
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()) / spread * float(np.sqrt(SESSIONS_PER_YEAR / sessions)) if spread > 0 else float("nan")


@dataclass(frozen=True)
class Evaluation:
    """How a score did, out of sample.

    Attributes
    ----------
    ic : mean rank IC; icir : mean over standard deviation of the per-session rank ICs
    auc : mean per-session ROC-AUC (its error holds for auc − 0.5 too); pooled_auc : over all rows at once
    top : mean excess of the top names' label over equal weight's, per horizon
    top_sharpe, equal_sharpe : annual Sharpe ratios of the two label series (excess over the market, not over cash;
        overlapping spans, so for comparison with each other only)
    unscored : members with a label but no score
    """

    ic: Mean
    icir: float
    auc: Mean
    pooled_auc: float
    top: Mean
    top_sharpe: float
    equal_sharpe: float
    unscored: int

    @property
    def sharpe_improvement(self) -> float:
        """Sharpe ratio of the scored top less that of equal weight."""
        return self.top_sharpe - self.equal_sharpe


def evaluate(
    scores: Floats, excess: Floats, member: Bools, names: int = 50, horizon: int = 5, lags: int = NEWEY_WEST_LAGS
) -> Evaluation:
    """All figures of a score (T, N) against the labels (T, N) of the members (T, N)."""
    ics = rank_ic(scores, excess, member)
    finite = ics[np.isfinite(ics)]
    spread = float(finite.std(ddof=1)) if len(finite) > 1 else 0.0
    top, everything = top_returns(scores, excess, member, names)
    mean = newey_west(ics, lags)
    return Evaluation(
        ic=mean,
        icir=mean.value / spread if spread > 0 else float("nan"),
        auc=newey_west(auc(scores, excess, member), lags),
        pooled_auc=pooled_auc(scores, excess, member),
        top=newey_west(top - everything, lags),
        top_sharpe=sharpe(top, horizon),
        equal_sharpe=sharpe(everything, horizon),
        unscored=int((member & np.isfinite(excess) & ~np.isfinite(scores)).sum()),
    )
