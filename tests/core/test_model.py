"""The bundle's bytes, what is refused and the scores."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from dataclasses import replace
from datetime import date
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant50 import model
from quant50.errors import ModelError
from quant50.model import Bundle, dumps, loads, scores

NAMES = ("first", "second", "third")


def linear(**changes: Any) -> Bundle:
    values: dict[str, Any] = {
        "kind": "ridge", "feature_names": NAMES, "coefficients": (1.0, -2.0, 0.5), "trained_through": "2020-01-03",
        "usable_from": "2020-01-06", "label": "l", "window": "w", "ic": 0.01, "ic_standard_error": 0.005,
        "data_hash": "d", "sectors": {"B": 1, "A": 0}, "universe": ("A", "B"),
        "actions": (("2019-12-02", "A", 2.0, 0.0),), "versions": {"lightgbm": lgb.__version__}, "metrics": {"m": 1.0},
        "parameters": {"trees": 3},
    }  # fmt: skip
    return Bundle(**{**values, **changes})


@pytest.fixture(scope="module")
def trees() -> tuple[Bundle, lgb.Booster, np.ndarray]:
    random = np.random.default_rng(3)
    features = random.uniform(-0.5, 0.5, (500, 3)).astype(np.float32)
    features[::7, 1] = np.nan
    parameters = {"objective": "binary", "num_threads": 1, "verbosity": -1, "min_data_in_leaf": 5}
    booster = lgb.train(parameters, lgb.Dataset(features, features[:, 0] > 0.1), 5)
    return linear(kind="lightgbm", coefficients=(), booster=booster.model_to_string()), booster, features


def repack(bundle: Bundle, change: Any) -> bytes:
    """A bundle whose content is changed and signed anew."""
    outer = pickle.loads(dumps(bundle))
    values = pickle.loads(outer["content"])
    change(values)
    content = pickle.dumps(values)
    return pickle.dumps({"format": 1, "sha256": hashlib.sha256(content).hexdigest(), "content": content})


def test_round_trip_and_canonical_bytes(trees: tuple[Bundle, lgb.Booster, np.ndarray]) -> None:
    for bundle in (linear(), trees[0]):
        assert loads(dumps(bundle), NAMES, date(2020, 1, 6), 35) == bundle
        assert dumps(loads(dumps(bundle))) == dumps(bundle)
    assert dumps(linear(sectors={"A": 0, "B": 1})) == dumps(linear())
    assert dumps(linear(ic=0.02)) != dumps(linear())


@pytest.mark.parametrize("value", [os.system, date(2020, 1, 1), np.float64(1.0), io.BytesIO, Exception("x")])
def test_anything_but_built_in_types_and_arrays_is_refused(value: Any) -> None:
    with pytest.raises(ModelError, match="no bundle may hold"):
        loads(repack(linear(), lambda values: values.update(metrics=value)))
    with pytest.raises(ModelError, match="no bundle may hold"):
        loads(pickle.dumps({"format": 1, "sha256": "", "content": value}))


def test_object_array_cannot_smuggle_a_call() -> None:
    class Call:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, ("false",)

    with pytest.raises(ModelError, match=r"posix\.system"):
        loads(repack(linear(), lambda values: values.update(coefficients=np.array([Call()], dtype=object))))


@given(st.data())
def test_altered_bytes_are_refused_or_leave_the_bundle_as_it_was(data: st.DataObject) -> None:
    content = bytearray(dumps(linear()))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        found = loads(bytes(content))
    except ModelError:
        return
    assert found == linear()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (dumps(linear())[:-20], "cannot be read"),
        (pickle.dumps([1]), "not a model bundle"),
        (pickle.dumps({"format": 2, "sha256": "", "content": b""}), "format 2"),
        (pickle.dumps({"format": 1, "sha256": "0", "content": b""}), "does not match its sha256"),
        (repack(linear(), lambda values: values.pop("ic")), "fields"),
        (dumps(linear(versions={"lightgbm": "3.3.5"})), r"LightGBM 3\.3\.5"),
        (dumps(linear(versions={})), "LightGBM unknown"),
    ],
)
def test_refusals(content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        loads(content)


def test_other_features_and_dates_are_refused() -> None:
    content = dumps(linear())
    for names in (NAMES[:2], NAMES[::-1]):
        with pytest.raises(ModelError, match="features"):
            loads(content, names)
    with pytest.raises(ModelError, match="not yet on 2020-01-05"):
        loads(content, NAMES, date(2020, 1, 5))
    assert loads(content, NAMES, date(2020, 2, 10), 35).ic == 0.01
    with pytest.raises(ModelError, match="36 days old"):
        loads(content, NAMES, date(2020, 2, 11), 35)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "forest"}, {"kind": "lightgbm"}, {"booster": "x"}, {"coefficients": (1.0,)},
        {"trained_through": "2020-01-06"}, {"ic": -0.1}, {"ic": float("nan")},
    ],
)  # fmt: skip
def test_inconsistent_bundles_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        linear(**changes)


def test_scores_are_the_raw_prediction(trees: tuple[Bundle, lgb.Booster, np.ndarray]) -> None:
    bundle, booster, features = trees
    features = features.copy()
    features[4] = np.nan
    expected = np.round(booster.predict(features, raw_score=True), 10)
    expected[4] = np.nan
    np.testing.assert_array_equal(scores(bundle, features), expected)
    assert np.isfinite(scores(bundle, features)[7])
    assert np.isnan(scores(bundle, features[4:5])).all()


def test_linear_scores_count_missing_as_zero() -> None:
    features = np.array([[0.5, 0.25, -0.5], [np.nan, 0.25, np.nan], [np.nan] * 3], dtype=np.float32)
    np.testing.assert_array_equal(scores(linear(), features), [-0.25, -0.5, np.nan])
    third = linear(coefficients=(1.0 / 3.0, 0.0, 0.0))
    assert scores(third, np.ones((1, 3), np.float32))[0] == 0.3333333333


def test_scores_refuse_other_shapes_and_unreadable_boosters() -> None:
    for features in (np.zeros((2, 3)), np.zeros((2, 2), np.float32), np.zeros(3, np.float32)):
        with pytest.raises(ModelError, match="expected"):
            scores(linear(), features)
    with pytest.raises(ModelError, match="cannot be read"):
        scores(replace(linear(), kind="lightgbm", coefficients=(), booster="tree"), np.zeros((1, 3), np.float32))


def test_boosters_are_loaded_once(trees: tuple[Bundle, lgb.Booster, np.ndarray]) -> None:
    model._booster.cache_clear()
    for _ in range(3):
        scores(loads(dumps(trees[0])), trees[2])
    assert model._booster.cache_info().misses == 1
