"""The registry: what is in force, atomic writes and refusals."""

from __future__ import annotations

import errno
import hashlib
import os
from datetime import date
from pathlib import Path
from typing import Any

import lightgbm as lgb
import pytest

from quant50.errors import DataError, ModelError
from quant50.model import Bundle, dumps, loads
from training.registry import (
    INDEX,
    LATEST,
    bundle_in_force,
    bundles,
    claim,
    model_path,
    publish,
    read_index,
    write_atomic,
)


def content(usable_from: str, coefficient: float = 1.0) -> bytes:
    return dumps(
        Bundle(
            kind="ridge",
            feature_names=("f",),
            coefficients=(coefficient,),
            trained_through="2019-01-01",
            usable_from=usable_from,
            label="l",
            window="w",
            ic=0.0,
            ic_standard_error=0.0,
            data_hash="d",
            sectors={},
            universe=(),
            versions={"lightgbm": lgb.__version__},
            metrics={},
            parameters={},
        )
    )


WEEKS = ("2020-01-06", "2020-01-13", "2020-01-21")


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    publish(tmp_path, [(f"key{week}", content(week), "weekly") for week in WEEKS])
    return tmp_path


def test_bundle_in_force_is_the_latest_that_may_be_used(storage: Path) -> None:
    for session, expected in (
        ((2020, 1, 6), WEEKS[0]), ((2020, 1, 10), WEEKS[0]), ((2020, 1, 13), WEEKS[1]), ((2020, 1, 20), WEEKS[1]),
        ((2020, 1, 21), WEEKS[2]), ((2020, 2, 25), WEEKS[2]),
    ):  # fmt: skip
        assert bundle_in_force(storage, date(*session), ("f",), 35).usable_from == expected
    with pytest.raises(ModelError, match="no model bundle"):
        bundle_in_force(storage, date(2020, 1, 5))
    with pytest.raises(ModelError, match="36 days old"):
        bundle_in_force(storage, date(2020, 2, 26), ("f",), 35)
    with pytest.raises(ModelError, match="features"):
        bundle_in_force(storage, date(2020, 1, 21), ("g",))


def test_layout_and_latest(storage: Path) -> None:
    assert [entry.usable_from for entry in bundles(storage)] == list(WEEKS)
    for entry in bundles(storage):
        assert entry.path == model_path(entry.usable_from)
        assert entry.path.count(".") == 1
        assert hashlib.sha256((storage / entry.path).read_bytes()).hexdigest() == entry.sha256
    assert loads((storage / LATEST).read_bytes()).usable_from == WEEKS[-1]
    assert not list(storage.rglob(".*"))


def test_publishing_the_same_again_writes_nothing(storage: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in storage.rglob("*")}
    assert publish(storage, [(f"key{week}", content(week), "weekly") for week in WEEKS]) == 0
    assert {path: path.stat().st_mtime_ns for path in storage.rglob("*")} == before


def test_index_is_append_only_and_the_last_entry_holds(storage: Path) -> None:
    before = read_index(storage)
    assert publish(storage, [("new", content(WEEKS[1], 2.0), "new data")]) == 1
    after = read_index(storage)
    assert after[:3] == before
    assert after[3].reason == f"new data; replaces {before[1].sha256[:12]}"
    assert bundle_in_force(storage, date(2020, 1, 14)).coefficients == (2.0,)
    assert loads((storage / LATEST).read_bytes()).usable_from == WEEKS[-1]


def test_altered_missing_or_swapped_files_are_refused(storage: Path) -> None:
    path = storage / model_path(WEEKS[0])
    path.write_bytes(content(WEEKS[0], 3.0))
    with pytest.raises(ModelError, match="sha256 differs"):
        bundle_in_force(storage, date(2020, 1, 6))
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        bundle_in_force(storage, date(2020, 1, 6))
    assert publish(storage, [(f"key{WEEKS[0]}", content(WEEKS[0]), "repair")]) == 0
    assert bundle_in_force(storage, date(2020, 1, 6)).usable_from == WEEKS[0]
    (storage / INDEX).write_text("[{}]")
    with pytest.raises(ModelError, match="index"):
        bundles(storage)


def test_a_failed_write_leaves_what_stood_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="No space left"):
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_storage_root_belongs_to_one_market_and_kind(tmp_path: Path) -> None:
    claim(tmp_path, "simulated", "lightgbm")
    claim(tmp_path, "simulated", "lightgbm")
    for market, kind in (("real", "lightgbm"), ("simulated", "ridge")):
        with pytest.raises(ModelError, match="give another --storage"):
            claim(tmp_path, market, kind)
