"""Ingest disturbed: damaged files, another process, a full disk, SIGKILL at random moments; nothing is lost."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from quant50.errors import DataError
from tests.training.small_store import frames, written
from training.commands.ingest import run_ingest
from training.sources.parquet_folder import ParquetFolder
from training.store.ingest import IngestSummary, ingest, staging_path
from training.store.reader import metadata


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ParquetFolder:
    return written(tmp_path_factory.mktemp("source"), frames())


@pytest.fixture(scope="module")
def undisturbed(source: ParquetFolder, tmp_path_factory: pytest.TempPathFactory) -> IngestSummary:
    return run_ingest(source, tmp_path_factory.mktemp("store") / "market.duckdb", False)


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
