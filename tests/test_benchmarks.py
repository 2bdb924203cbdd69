"""The benchmark's rows: their keys, the ratio, and what happens to a stage that cannot run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import Measured, Source, __main__, stages, typical
from training.sources.simulated import MarketParameters, SimulatedSource
from training.store.ingest import ingest


def test_the_command_writes_a_list_of_rows_with_the_ratio(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(__main__.app, ["--only", "ledoit-wolf", "--out", str(out)])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(out.read_text())
    assert {"name", "seconds", "peak_mb", "peer", "peer_seconds", "ratio"} <= set(row)
    assert row["name"] == "ledoit-wolf"
    assert row["peer"] == "scikit-learn LedoitWolf"
    assert row["seconds"] > 0
    assert 50 < row["peak_mb"] < 3000  # a Python process with NumPy and LightGBM, in MB and not KB
    assert row["ratio"] == pytest.approx(row["peer_seconds"] / row["seconds"])


def test_a_stage_on_a_tiny_simulated_market(tmp_path: Path) -> None:
    store = tmp_path / "market.duckdb"
    ingest(SimulatedSource(MarketParameters(years=1, stocks=22)), store)
    row = stages.labels(Source(None, store, tmp_path)).row("labels", 100.0)
    assert set(row) == {"name", "seconds", "peak_mb", "source"}
    assert row["source"] == "simulated market"
    assert row["seconds"] > 0


def test_the_ratio_is_peer_seconds_by_seconds_and_children_count() -> None:
    row = Measured(2.0, "x", "peer", 5.0, children_mb=30.0).row("stage", 100.0)
    assert row == {"name": "stage", "seconds": 2.0, "peak_mb": 130.0, "peer": "peer", "peer_seconds": 5.0,
                   "ratio": 2.5, "source": "x"}  # fmt: skip


def test_works_take_turns_and_the_first_round_is_thrown_away() -> None:
    calls: list[str] = []
    seconds = typical(lambda: calls.append("a"), lambda: calls.append("b"), runs=2)
    assert calls == ["a", "b"] * 3
    assert len(seconds) == 2


def test_every_stage_has_a_function() -> None:
    assert all(callable(getattr(stages, name.replace("-", "_"))) for name in __main__.STAGES)


def test_a_stage_without_its_data_is_left_out_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    places = json.dumps({"market": None, "store": str(tmp_path / "none"), "golden": str(tmp_path)})
    for name in ("daily-pdf", "trading-loop", "replay"):
        stages.main(name, places)
        assert set(json.loads(capsys.readouterr().out)) == {"name", "skipped"}


def test_a_stage_that_fails_gives_no_row_and_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(__main__, "run_stage", lambda name, _source: {"name": name, "failed": "broken"})
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(__main__.app, ["--only", "replay", "--out", str(out)])
    assert result.exit_code == 1
    assert "broken" in result.output
    assert json.loads(out.read_text()) == []


@pytest.mark.parametrize("arguments", [["--only", "nonsense"], ["--market", "/nowhere"]])
def test_wrong_arguments_are_refused(arguments: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(__main__.app, [*arguments, "--out", str(tmp_path / "bench.json")])
    assert result.exit_code == 2
    assert not (tmp_path / "bench.json").exists()
