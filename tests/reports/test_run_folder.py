"""The run folder: same input, same bytes; and one clear sentence for each way it can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from make_run import make_run, make_tables

from quant50.errors import DataError
from reports.run_folder import read_run, write_run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_round_trip_and_equal_bytes(tmp_path):
    tables = make_tables(sessions=30)
    write_run(tmp_path / "a", **tables)
    shuffled = tables | {"equity": tables["equity"][list(tables["equity"].columns[::-1])]}
    write_run(tmp_path / "b", **shuffled)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert pq.read_schema(tmp_path / "a" / "equity.parquet").metadata is None
    run = read_run(tmp_path / "a")
    for name in ("equity", "orders", "holdings", "decisions", "rules"):
        pd.testing.assert_frame_equal(getattr(run, name), tables[name], check_dtype=False)
    assert run.manifest.simulated is True
    assert np.isnan(run.metrics["recovery_sessions"])
    assert run.name == "a"


def test_rewriting_replaces_the_whole_folder(tmp_path):
    folder = make_run(tmp_path / "run", sessions=20)
    (folder / "timings.json").write_text("{}")
    make_run(folder, sessions=30)
    assert not (folder / "timings.json").exists()
    assert len(read_run(folder).equity) == 30
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_refused_write_leaves_the_old_run_alone(tmp_path):
    folder = make_run(tmp_path / "run", sessions=20)
    before = contents(folder)
    bad = make_tables(sessions=20)
    bad["equity"].loc[3, "equity"] = np.nan
    with pytest.raises(DataError, match=r"equity\.equity must hold a positive number in every row; row 3 holds"):
        write_run(folder, **bad)
    assert contents(folder) == before


def break_table(table: str, change) -> dict:
    tables = make_tables(sessions=12)
    tables[table] = change(tables[table].copy())
    return tables


@pytest.mark.parametrize(
    ("table", "change", "sentence"),
    [
        ("equity", lambda t: t.drop(columns="cash"), "table equity lacks cash"),
        ("equity", lambda t: t.assign(extra=1), "table equity has unknown extra"),
        ("equity", lambda t: t.iloc[::-1], "table equity is not sorted by date"),
        ("equity", lambda t: pd.concat([t, t.tail(1)]), "table equity holds date 20.* twice"),
        ("equity", lambda t: t.iloc[:0], "holds no session"),
        ("equity", lambda t: t.assign(positions=1.5), r"equity\.positions must hold a whole number"),
        ("orders", lambda t: t.assign(ticker=5), r"orders\.ticker must hold a text"),
        ("orders", lambda t: t.assign(fee="x"), r"orders\.fee must hold a number"),
        ("orders", lambda t: t.assign(decision_price=np.inf), r"orders\.decision_price must hold a number or none"),
        ("holdings", lambda t: t.assign(date=pd.Timestamp("2030-01-01")).head(1), "no session of the equity table"),
        ("decisions", lambda t: t.assign(date=pd.NaT), r"decisions\.date must hold a date in every row"),
    ],
)
def test_each_defect_has_its_sentence(tmp_path, table, change, sentence):
    with pytest.raises(DataError, match=sentence):
        write_run(tmp_path / "run", **break_table(table, change))
    assert not (tmp_path / "run").exists()


def change_manifest(folder: Path, **changes) -> None:
    content = json.loads((folder / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps({k: v for k, v in content.items() if v != "drop"}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: (f / "orders.parquet").unlink(), "orders.parquet is missing"),
        (lambda f: (f / "orders.parquet").write_bytes(b"no"), "cannot be read as Parquet"),
        (lambda f: (f / "manifest.json").write_text("{"), "is no JSON"),
        (lambda f: (f / "manifest.json").write_text("[]"), "must hold a JSON object"),
        (lambda f: change_manifest(f, seed="drop"), "manifest.json lacks 'seed'"),
        (lambda f: change_manifest(f, seed="x"), "manifest.json is malformed"),
        (lambda f: change_manifest(f, initial_cash=0), "initial_cash must be above zero"),
        (lambda f: change_manifest(f, parameters={"leverage": 2}), "unknown parameter: leverage"),
        (lambda f: change_manifest(f, market={"simulated": "no", "description": "", "data_hash": ""}), "true or false"),
    ],
)
def test_each_spoiled_file_has_its_sentence(tmp_path, spoil, sentence):
    folder = make_run(tmp_path / "run", sessions=12)
    spoil(folder)
    with pytest.raises(DataError, match=sentence):
        read_run(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="there is no run folder"):
        read_run(tmp_path / "none")


def test_dates_do_not_move_with_the_time_zone(tmp_path):
    """A zone-aware midnight in New York stays on its own day."""
    tables = make_tables(sessions=12)
    zoned = tables["rules"].assign(date=tables["rules"]["date"].dt.tz_localize("America/New_York"))
    write_run(tmp_path / "run", **(tables | {"rules": zoned}))
    assert (read_run(tmp_path / "run").rules["date"] == tables["rules"]["date"]).all()


def test_until_forgets_what_came_later(tmp_path):
    run = read_run(make_run(tmp_path / "run", sessions=40))
    past = run.until(run.dates[20])
    assert past.last_date == run.dates[20]
    assert len(past.equity) == 21
    decided_then = past.orders[past.orders["decision_date"] == pd.Timestamp(str(run.dates[20]))]
    assert len(decided_then) == 3
    assert (decided_then["status"] == "open").all()
    assert decided_then["fill_date"].isna().all()
    assert (decided_then[["filled", "fee", "slippage"]] == 0).all(axis=None)
    with pytest.raises(DataError, match="is no session"):
        run.until(np.datetime64("2019-01-05"))


def test_a_first_session_that_traded_counts_as_a_return(tmp_path):
    tables = make_tables(sessions=12)
    tables["equity"]["equity"] *= 1.01
    write_run(tmp_path / "run", **tables)
    path = read_run(tmp_path / "run").performance()
    assert len(path.strategy) == 12
    assert path.strategy[0] == pytest.approx(0.01)
    assert path.benchmark[0] == 0.0
