"""Evaluation against SciPy, scikit-learn and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from quant50.errors import DataError
from training.evaluation import auc, evaluate, newey_west, pooled_auc, rank_ic, sharpe, top_returns


def sample(seed: int, signal: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    excess = random.standard_normal((40, 25))
    scores = np.round(signal * excess + random.standard_normal((40, 25)), 1)
    scores[random.random(scores.shape) < 0.1] = np.nan
    excess[random.random(scores.shape) < 0.1] = np.nan
    return scores, excess, random.random(scores.shape) < 0.9


@given(st.integers(0, 1000))
def test_rank_ic_and_auc_match_the_libraries(seed: int) -> None:
    scores, excess, member = sample(seed)
    ics, areas = rank_ic(scores, excess, member), auc(scores, excess, member)
    for t in range(len(scores)):
        known = member[t] & np.isfinite(scores[t]) & np.isfinite(excess[t])
        a, b = scores[t, known], excess[t, known]
        assert ics[t] == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
        assert areas[t] == pytest.approx(roc_auc_score(b > np.median(b), a), abs=1e-12)
    known = member & np.isfinite(scores) & np.isfinite(excess)
    beats = excess > np.nanmedian(np.where(known, excess, np.nan), axis=1)[:, None]
    assert pooled_auc(scores, excess, member) == pytest.approx(roc_auc_score(beats[known], scores[known]), abs=1e-12)


@given(st.integers(0, 1000), st.integers(0, 12))
def test_newey_west_matches_statsmodels(seed: int, lags: int) -> None:
    series = np.convolve(np.random.default_rng(seed).standard_normal(80), np.ones(5), "valid") + 0.3
    fit = sm.OLS(series, np.ones(len(series))).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    found = newey_west(np.append(series, np.nan), lags)
    assert found.value == pytest.approx(fit.params[0], rel=1e-12)
    assert found.standard_error == pytest.approx(fit.bse[0], rel=1e-9)
    assert found.t == pytest.approx(fit.tvalues[0], rel=1e-9)
    assert found.sessions == len(series)


def test_degenerate_sessions_are_not_counted() -> None:
    excess = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [1.0, 2.0, np.nan], [1.0, 2.0, 3.0]])
    scores = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(rank_ic(scores, excess), [1.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(auc(scores, excess), [1.0, np.nan, np.nan, 0.5])
    single = newey_west(np.array([np.nan, 2.0]))
    assert (single.value, single.sessions) == (2.0, 1)
    assert np.isnan(single.standard_error)
    assert np.isnan(newey_west(np.array([1.0, 1.0])).t)
    with pytest.raises(DataError, match="disagree"):
        rank_ic(scores, excess[:2])


def test_top_returns_take_the_best_scores() -> None:
    scores = np.array([[3.0, 1.0, 3.0, np.nan, 2.0], [np.nan] * 5])
    returns = np.array([[0.1, 0.2, 0.4, 0.9, 0.3], [0.0] * 5])
    member = np.array([[True, True, True, True, False]] * 2)
    top, everything = top_returns(scores, returns, member, 2)
    np.testing.assert_allclose(top, [0.25, np.nan])
    np.testing.assert_allclose(everything, [0.7 / 3, np.nan])
    np.testing.assert_allclose(top_returns(scores, returns, member, 1)[0], [0.1, np.nan])


def test_evaluation_of_a_signal_and_of_none() -> None:
    scores, excess, member = sample(5, signal=1.0)
    found = evaluate(scores, excess, member, names=5)
    ics = rank_ic(scores, excess, member)
    assert found.ic == newey_west(ics)
    assert found.icir == pytest.approx(np.mean(ics) / np.std(ics, ddof=1))
    top, everything = top_returns(scores, excess, member, 5)
    assert found.top == newey_west(top - everything)
    assert found.sharpe_improvement == pytest.approx(sharpe(top, 5) - sharpe(everything, 5))
    assert found.top_sharpe == pytest.approx(top.mean() / top.std(ddof=1) * np.sqrt(252 / 5))
    assert found.ic.t > 5
    assert found.auc.value > 0.6
    assert found.unscored == (member & np.isfinite(excess) & np.isnan(scores)).sum() > 0
    reverse = evaluate(-scores, excess, member)
    assert reverse.ic.value == pytest.approx(-found.ic.value)
    assert reverse.auc.value == pytest.approx(1 - found.auc.value)
