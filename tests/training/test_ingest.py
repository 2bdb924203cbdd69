"""Ingest: what is kept, what is refused, and that nothing is lost when it is killed, disturbed or short of disk."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from quant50.errors import DataError
from tests.training.small_store import frames, written
from training.commands.ingest import render, run_ingest
from training.sources.parquet_folder import ParquetFolder
from training.sources.records import Batch
from training.store.ingest import IngestSummary, ingest, staging_path
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


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_a_corrupt_store_is_refused_and_left_alone(
    damage: str, source: ParquetFolder, undisturbed: IngestSummary, tmp_path: Path
) -> None:
    store = tmp_path / "market.duckdb"
    whole = undisturbed.store.read_bytes()
    damaged = {"garbage": b"not a database" * 999, "cut": whole[: len(whole) // 3], "empty": b""}[damage]
    store.write_bytes(damaged)
    with pytest.raises(DataError, match="move it away") as caught:
        run_ingest(source, store, False)
    assert len(str(caught.value).splitlines()) == 1
    assert store.read_bytes() == damaged


def test_a_corrupt_staging_file_is_begun_anew_and_told(
    source: ParquetFolder, undisturbed: IngestSummary, tmp_path: Path
) -> None:
    store = tmp_path / "market.duckdb"
    staging_path(store).write_bytes(b"not a database" * 999)
    summary = run_ingest(source, store, False)
    assert "not a readable DuckDB store" in summary.restarted
    assert summary.content_hash == undisturbed.content_hash
    with pytest.raises(DataError, match="run the ingest first"):
        metadata(tmp_path / "other.duckdb")
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    with pytest.raises(DataError, match="not a complete market store"):
        metadata(tmp_path / "other.duckdb")


def test_an_interrupted_ingest_is_continued_only_with_the_same_source(
    source: ParquetFolder, undisturbed: IngestSummary, tmp_path: Path
) -> None:
    class Interrupted(Exception):
        """Stands for whatever stops the work."""

    def stop(step: str, rows: int) -> None:
        if step.startswith("bars S02"):
            raise Interrupted

    store = tmp_path / "market.duckdb"
    other = written(tmp_path / "other", frames(stocks=6, seed=5))
    for first, second in ((source, other), (other, source), (source, source)):
        store.unlink(missing_ok=True)
        with pytest.raises(Interrupted):
            ingest(first, store, stop)
        summary = ingest(second, store)
        assert summary.status == "created"
        assert (summary.restarted != "") == (first is not second)
        assert (summary.steps_kept > 0) == (first is second)
    assert summary.content_hash == undisturbed.content_hash


def test_two_ingests_at_once(source: ParquetFolder, tmp_path: Path) -> None:
    staging = staging_path(tmp_path / "market.duckdb")
    hold = f"import duckdb; c = duckdb.connect({str(staging)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DataError, match="another process is writing"):
            run_ingest(source, tmp_path / "market.duckdb", False)
        other.communicate(b"\n")
    assert run_ingest(source, tmp_path / "market.duckdb", False).status == "created"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(source: ParquetFolder, undisturbed: IngestSummary, small_disk: Path) -> None:
    store = small_disk / "market.duckdb"
    with pytest.raises(DataError, match=r"disk full while writing .*: free some space and run again"):
        run_ingest(source, store, False)
    assert not store.exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    summary = run_ingest(source, store, False)
    assert summary.content_hash == undisturbed.content_hash
    assert summary.restarted == ""
    assert summary.steps_kept > 0


def kill_often(source: ParquetFolder, expected: IngestSummary, folder: Path, kills: int, seed: int) -> None:
    """Kill ingests with SIGKILL at random moments until `kills` hit a running one; check what they leave behind."""
    generator = np.random.default_rng(seed)
    context = multiprocessing.get_context("forkserver")  # children start with everything imported: kills hit the work
    context.set_forkserver_preload(["training.commands.ingest", "training.sources.parquet_folder"])
    started = time.perf_counter()
    run_ingest(source, folder / "timed.duckdb", False)
    duration = time.perf_counter() - started
    old = written(folder / "old", frames(stocks=1))
    hits, rounds = 0, 0
    while hits < kills:
        rounds += 1
        store = folder / f"round{rounds}.duckdb"
        old_hash = run_ingest(old, store, False).content_hash
        finished_before = 0
        while hits < kills and metadata(store).content_hash == old_hash:
            child = context.Process(target=run_ingest, args=(source, store, False))
            child.start()
            child.join(timeout=float(generator.uniform(0.02, duration)))
            child.kill()
            child.join()
            hits += child.exitcode == -9
            assert metadata(store).content_hash in (old_hash, expected.content_hash)  # readable, old or new
            if staging_path(store).exists() and metadata(store).content_hash == old_hash:
                finished = finished_steps(staging_path(store))
                assert finished >= finished_before
                finished_before = finished
        summary = run_ingest(source, store, False)
        assert summary.content_hash == expected.content_hash
        assert summary.rows == expected.rows
        assert summary.steps_kept == finished_before or summary.status == "unchanged"
        assert summary.restarted == ""


def finished_steps(staging: Path) -> int:
    """Rows of the log of an interrupted ingest, read from a copy; 0 if it was killed before its tables stood."""
    copy = staging.with_name("copy.duckdb")
    for suffix in ("", ".wal"):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
        if Path(f"{staging}{suffix}").exists():
            shutil.copy(f"{staging}{suffix}", f"{copy}{suffix}")
    with duckdb.connect(str(copy)) as connection:
        if connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'ingest_log'").fetchone() is None:
            return 0
        return int(connection.execute("SELECT count(*) FROM ingest_log").fetchone()[0])  # type: ignore[index]


def test_killed_four_times(source: ParquetFolder, undisturbed: IngestSummary, tmp_path: Path) -> None:
    kill_often(source, undisturbed, tmp_path, kills=4, seed=1)


@pytest.mark.long
def test_killed_forty_times(source: ParquetFolder, undisturbed: IngestSummary, tmp_path: Path) -> None:
    kill_often(source, undisturbed, tmp_path, kills=40, seed=2)
