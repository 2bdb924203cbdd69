"""Ingest: what is kept, what is refused and what is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from quant50.errors import DataError
from tests.training.small_store import frames, written
from training.commands.ingest import render, run_ingest
from training.sources.parquet_folder import ParquetFolder
from training.sources.records import Batch
from training.store.ingest import IngestSummary, staging_path
from training.store.reader import connected, metadata


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ParquetFolder:
    return written(tmp_path_factory.mktemp("source"), frames())


@pytest.fixture(scope="module")
def undisturbed(source: ParquetFolder, tmp_path_factory: pytest.TempPathFactory) -> IngestSummary:
    return run_ingest(source, tmp_path_factory.mktemp("store") / "market.duckdb", False)


def count(store: Path, query: str) -> int:
    with connected(store) as connection:
        return int(connection.execute(query).fetchone()[0])  # type: ignore[index]


def test_everything_valid_is_kept_as_it_was(undisturbed: IngestSummary) -> None:
    tables = frames()
    for table, frame in tables.items():
        with connected(undisturbed.store) as connection:
            kept = connection.execute(f"SELECT * FROM {table}").df()
        sort = [c for c in ("ticker", "date", "kind") if c in frame]
        expected = frame.sort_values(sort).reset_index(drop=True)
        found = kept.sort_values(sort).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert undisturbed.status == "created"
    assert undisturbed.rejected == {}
    assert undisturbed.rows["bars"] == 26 * 252
    assert not staging_path(undisturbed.store).exists()


def test_same_source_is_not_ingested_twice(source: ParquetFolder, undisturbed: IngestSummary) -> None:
    before = undisturbed.store.stat().st_mtime_ns
    again = run_ingest(source, undisturbed.store, True)
    assert (again.status, again.steps_done, again.content_hash) == ("unchanged", 0, undisturbed.content_hash)
    assert undisturbed.store.stat().st_mtime_ns == before


def test_a_changed_source_replaces_the_store(undisturbed: IngestSummary, tmp_path: Path) -> None:
    store = tmp_path / "market.duckdb"
    shutil.copy(undisturbed.store, store)
    tables = frames()
    tables["bars"].loc[10, "volume"] += 1
    changed = run_ingest(written(tmp_path / "changed", tables), store, False)
    assert changed.status == "replaced"
    assert changed.content_hash != undisturbed.content_hash == metadata(undisturbed.store).content_hash


def test_the_hash_is_of_the_contents_not_of_the_order(undisturbed: IngestSummary, tmp_path: Path) -> None:
    tables = frames()
    source = written(tmp_path / "source", tables | {"rates": tables["rates"].iloc[::-1]})
    other = ParquetFolder(source.folder, complete_to=source.complete_to, tickers_per_batch=7)
    assert run_ingest(other, tmp_path / "market.duckdb", False).content_hash == undisturbed.content_hash


def test_bad_rows_go_to_quarantine_and_are_told(tmp_path: Path) -> None:
    tables = frames(stocks=4)
    bars = tables["bars"]
    bars.loc[bars.index[5], "close"] = -1.0
    bars.loc[bars.index[7], ["high", "low"]] = [1.0, 2.0]
    bars.loc[bars.index[9], "close"] = 1e6
    late = bars.iloc[[20]].assign(date=pd.Timestamp("2016-01-04"))
    tables["bars"] = pd.concat([bars, bars.iloc[[30]], late, bars.iloc[[31]].assign(ticker=None)])
    outside = [
        ("S01", pd.Timestamp("2014-06-02"), "dividend", 1.0, None),
        ("S01", pd.Timestamp("2015-06-02"), "split", 0.0, None),
    ]
    tables["actions"] = pd.concat([tables["actions"], pd.DataFrame(outside, columns=tables["actions"].columns)])
    summary = run_ingest(written(tmp_path / "source", tables), tmp_path / "market.duckdb", False)
    assert summary.rejected == {
        ("actions", "ex-date outside the listing"): 1,
        ("actions", "split ratio not positive"): 1,
        ("bars", "close outside low and high"): 1,
        ("bars", "duplicate (ticker, date)"): 1,
        ("bars", "future date"): 1,
        ("bars", "high below low"): 1,
        ("bars", "missing ticker or date"): 1,
        ("bars", "price not positive"): 1,
    }
    assert summary.rows["bars"] + 6 == len(tables["bars"])
    assert summary.rows["actions"] + 2 == len(tables["actions"])
    assert summary.flagged == {"missing session": 3}
    assert (
        count(
            summary.store, "SELECT json_extract(record, '$.close')::DOUBLE FROM quarantine WHERE reason LIKE 'price%'"
        )
        == -1
    )
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(render(summary))
    assert "rejected: bars, future date" in console.export_text()


def test_each_piece_has_its_own_key_and_its_own_columns(source: ParquetFolder, tmp_path: Path) -> None:
    class Twice:
        name, simulated, description, as_of = "twice", True, "twice", date(2015, 12, 31)

        def fingerprint(self) -> str:
            return "1"

        def batches(self) -> Iterator[Batch]:
            yield Batch("rates", "all", frames()["rates"])
            yield Batch("rates", "all", frames()["rates"])

    with pytest.raises(DataError, match="twice: give each its own key"):
        run_ingest(Twice(), tmp_path / "market.duckdb", False)
    with pytest.raises(DataError, match="lacks the column"):
        Batch("rates", "all", pd.DataFrame({"date": []}))
    with pytest.raises(DataError, match="yield exactly date, dtb3"):
        Batch("rates", "all", pd.DataFrame({"date": [], "dtb3": [], "fed_funds": []}))
    with pytest.raises(DataError, match="unknown table"):
        Batch("prices", "all", pd.DataFrame())


def test_bad_folders_get_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .* give the folder that holds bars.parquet"):
        ParquetFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"lacks assets.parquet, bars.parquet"):
        ParquetFolder(tmp_path)
    tables = frames(stocks=1)
    with pytest.raises(DataError, match=r"bars.parquet lacks the column\(s\) close: add them"):
        written(tmp_path / "columns", tables | {"bars": tables["bars"].rename(columns={"close": "Close*"})})
    with pytest.raises(DataError, match="holds no bars"):
        written(tmp_path / "empty", tables | {"bars": tables["bars"].iloc[:0]})
    (tmp_path / "columns" / "rates.parquet").write_bytes(b"not Parquet")
    tables["bars"].to_parquet(tmp_path / "columns" / "bars.parquet")
    with pytest.raises(DataError, match=r"rates.parquet is not readable Parquet"):
        ParquetFolder(tmp_path / "columns")
    early = ParquetFolder(written(tmp_path / "early", tables).folder, complete_to=date(2000, 1, 1))
    with pytest.raises(DataError, match="yields no valid bars: check its date range"):
        run_ingest(early, tmp_path / "market.duckdb", False)
