"""Fits, purge and the IC estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from quant50.errors import DataError, ParameterError
from quant50.model import predict
from training.dataset import Rows, labelled_rows, targets
from training.evaluation import Mean
from training.fit import FitParameters, Learner, purge, shrink

NAMES = ("volatility_21", "momentum_12_1", "beta_252")
QUICK: dict[str, Any] = {"trees": 8, "leaves": 5, "minimum_leaf_rows": 50, "minimum_sessions": 20, "sessions_step": 1}


def market(seed: int, signal: float, sessions: int = 240, names: int = 41) -> Rows:
    """Independent labels; the signal is an interaction of the first two features; an odd number, so one rank is 0."""
    random = np.random.default_rng(seed)
    ranks = (np.arange(names) / (names - 1) - 0.5).astype(np.float32)
    features = np.stack([random.permuted(np.tile(ranks, (sessions, 1)), axis=1) for _ in NAMES], axis=2)
    features[random.random(features.shape) < 0.02] = np.nan
    excess = random.standard_normal((sessions, names))
    excess += signal * np.nan_to_num(features[:, :, 0] * 2 + 8 * features[:, :, 0] * features[:, :, 1])
    dates = np.busday_offset("2018-01-01", np.arange(sessions), roll="forward")
    return labelled_rows(dates, features, np.ones(excess.shape, bool), excess, np.arange(sessions) + 6)


def everything(rows: Rows) -> np.ndarray:
    return np.arange(len(rows.session))


@pytest.mark.parametrize("label", ["beats_median", "rank"])
def test_binning_once_gives_the_model_of_the_rows_alone(label: str) -> None:
    rows = market(1, 0.3)
    indices = np.flatnonzero((rows.session >= 60) & (rows.session < 200))
    parameters = FitParameters(**QUICK, label=label)
    shared = Learner(rows, NAMES, parameters)
    shared.fit(everything(rows))
    alone = rows.take(indices)
    assert shared.fit(indices) == Learner(alone, NAMES, parameters).fit(everything(alone))
    assert shared.fit(indices).rows == len(indices)
    assert shared.fit(indices).sessions == 140


def test_lightgbm_learns_an_interaction_and_nothing_from_shuffled_labels() -> None:
    rows = market(2, 0.3)
    parameters = FitParameters(**QUICK)
    found = Learner(rows, NAMES, parameters).information_coefficient(everything(rows))
    assert found.estimate.t > 8
    assert found.estimate.sessions == 240
    assert 0 < found.value < found.estimate.value
    shuffled = np.random.default_rng(0).permutation(rows.excess)
    mixed = Rows(rows.dates, rows.session, rows.column, rows.features, shuffled, rows.end)
    nothing = Learner(mixed, NAMES, parameters).information_coefficient(everything(mixed))
    assert abs(nothing.estimate.t) < 3
    assert abs(nothing.estimate.value) < 0.04


def test_missing_features_have_a_bin_of_their_own() -> None:
    rows = market(3, 0.0)
    missing = np.isnan(rows.features[:, 2])
    excess = np.where(missing, 5.0, rows.excess)
    parameters = FitParameters(**QUICK | {"trees": 30, "learning_rate": 0.3, "feature_fraction": 1.0})
    learner = Learner(replace(rows, excess=excess), NAMES, parameters)
    scores = predict(learner.fit(everything(rows)).booster, (), rows.features)
    assert scores[missing].min() > scores[~missing].max()


def test_ridge_is_scikit_learns_with_missing_as_zero() -> None:
    rows = market(4, 0.3)
    fitted = Learner(rows, NAMES, FitParameters(**QUICK, kind="ridge", ridge_penalty=10.0)).fit(everything(rows))
    target = targets(rows.session, rows.excess, "beats_median")
    reference = Ridge(alpha=10.0, solver="svd").fit(np.nan_to_num(rows.features.astype(float)), target)
    np.testing.assert_allclose(fitted.coefficients, reference.coef_, rtol=1e-6)
    assert fitted.filled == np.isnan(rows.features).sum() > 0
    assert fitted.booster == ""


def test_momentum_and_none_are_bundles_kinds_too() -> None:
    rows = market(5, 0.0)
    momentum = Learner(rows, NAMES, FitParameters(**QUICK, kind="momentum"))
    assert momentum.fit(everything(rows)).coefficients == (0.0, 1.0, 0.0)
    assert momentum.information_coefficient(everything(rows)).standard_error > 0
    none = Learner(rows, NAMES, FitParameters(**QUICK, kind="none"))
    assert none.fit(everything(rows)).coefficients == (0.0, 0.0, 0.0)
    assert none.information_coefficient(everything(rows)).value == 0.0
    with pytest.raises(DataError, match="momentum_12_1"):
        Learner(rows, ("a", "b", "c"), FitParameters(kind="momentum")).fit(everything(rows))


@given(st.integers(0, 30), st.integers(0, 25), st.integers(1, 12), st.integers(0, 8))
def test_purge_is_the_brute_force_one(seed: int, first: int, length: int, embargo: int) -> None:
    random = np.random.default_rng(seed)
    session = np.repeat(np.arange(40), 2)
    end = session + random.integers(1, 12, len(session))
    rows = Rows(np.arange(40).astype("datetime64[D]"), session, session, np.zeros((80, 1), np.float32),
                np.zeros(80), end)  # fmt: skip
    test = np.flatnonzero((session >= first) & (session < first + length))
    last = max(end[test])
    expected = [
        i for i in range(80)
        if not (set(range(session[i] + 1, end[i] + 1)) & set(range(first + 1, last + 1)))
        and not last < session[i] <= last + embargo and session[i] != last
    ]  # fmt: skip
    assert purge(rows, np.arange(80), test, embargo).tolist() == expected


def test_shrinkage() -> None:
    assert shrink(Mean(0.02, 0.005, 9), 0.01).value == pytest.approx(0.02 * 0.8)
    assert shrink(Mean(-0.01, 0.005, 9), 0.01).value == 0.0
    unknown = shrink(Mean(float("nan"), float("nan"), 0), 0.01)
    assert (unknown.value, unknown.standard_error) == (0.0, 0.01)


@pytest.mark.parametrize(
    "change",
    [{"kind": "forest"}, {"label": "up"}, {"trees": 0}, {"leaves": 1}, {"ic_prior": 0.0}, {"training_years": -1.0}],
)
def test_parameters_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        FitParameters(**change)


def test_names_must_fit_the_rows() -> None:
    with pytest.raises(DataError, match="3 features"):
        Learner(market(6, 0.0, 30), ("one",), FitParameters())
