"""The command line: bad input ends with exit code 2 and one sentence, and nothing is lost."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.main import get_command

from quant50.errors import DataError
from reports.run_folder import read_run
from tests.conftest import REPOSITORY
from tests.training.small_market import PARAMETERS, SmallMarket, small_market
from tests.training.small_store import frames, written
from training.__main__ import app
from training.commands.console import run
from training.registry import bundles, model_path
from training.walk_forward import score_sessions


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, what it printed and what it said on stderr, lines unwrapped."""

    code: int
    out: str
    error: str


class Line:
    """Runs `python -m training …` in this process, in an empty folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object, app: typer.Typer = app) -> Ended:
        self.monkeypatch.setattr(sys, "argv", ["training", *map(str, arguments)])
        self.capsys.readouterr()
        code = 0
        try:
            run(app)
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = self.capsys.readouterr()
        return Ended(code, printed.out, printed.err)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Line:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Line(monkeypatch, capsys)


@pytest.fixture(scope="module")
def market() -> SmallMarket:
    return small_market()


def refused(ended: Ended, words: str) -> None:
    """Exit code 2, one line on stderr that says these words, nothing of a traceback."""
    assert ended.code == 2, ended
    assert "Traceback" not in ended.error + ended.out
    said = [text for text in ended.error.splitlines() if text.startswith("error:")]
    assert len(said) == 1, ended.error
    assert re.search(words, said[0]), said[0]
    assert ended.error.rstrip().endswith(said[0]), "nothing follows the sentence"


def test_missing_parquet_folder(line: Line, tmp_path: Path) -> None:
    refused(line("ingest", "--store", "m.duckdb", "--parquet", tmp_path / "nowhere"), "nowhere")
    assert not Path("m.duckdb").exists()


def test_parquet_folder_without_bars(line: Line, tmp_path: Path) -> None:
    written(tmp_path / "source", frames(stocks=3))
    (tmp_path / "source" / "bars.parquet").unlink()
    refused(line("ingest", "--store", "m.duckdb", "--parquet", tmp_path / "source"), "bars")


@pytest.mark.parametrize(
    ("table", "column"), [("bars", "volume"), ("actions", "value"), ("index_holdings", "weight"), ("rates", "dtb3")]
)
def test_wrong_columns(line: Line, tmp_path: Path, table: str, column: str) -> None:
    tables = frames(stocks=3)
    written(tmp_path / "source", tables)
    tables[table].rename(columns={column: "other"}).to_parquet(tmp_path / "source" / f"{table}.parquet")
    ended = line("ingest", "--store", "m.duckdb", "--parquet", tmp_path / "source")
    refused(ended, rf"{table}\.parquet lacks the column\(s\) {column}")
    assert not Path("m.duckdb").exists()


def test_a_file_that_is_no_parquet(line: Line, tmp_path: Path) -> None:
    written(tmp_path / "source", frames(stocks=3))
    (tmp_path / "source" / "bars.parquet").write_bytes(b"no parquet at all")
    refused(line("ingest", "--store", "m.duckdb", "--parquet", tmp_path / "source"), "bars")


@pytest.mark.parametrize("command", ["train", "backtest", "study"])
def test_no_store(line: Line, command: str) -> None:
    refused(line(command, "--store", "nowhere.duckdb"), "nowhere.duckdb")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no database" * 500])
@pytest.mark.parametrize("command", ["train", "backtest"])
def test_corrupt_store(line: Line, command: str, content: bytes) -> None:
    Path("m.duckdb").write_bytes(content)
    refused(line(command, "--store", "m.duckdb"), "m.duckdb")
    assert Path("m.duckdb").read_bytes() == content


def test_a_store_with_damaged_blocks(line: Line, market: SmallMarket) -> None:
    content = bytearray(market.store.read_bytes())
    content[12_288:-4096] = bytes(len(content) - 12_288 - 4096)
    Path("m.duckdb").write_bytes(content)
    refused(line("backtest", "--store", "m.duckdb"), "m.duckdb")


@pytest.mark.parametrize("command", ["train", "backtest", "study"])
def test_empty_date_range(line: Line, market: SmallMarket, command: str) -> None:
    refused(line(command, "--store", market.store, "--start", "2021-06-05", "--end", "2021-06-06"), "no session from")
    refused(line(command, "--store", market.store, "--start", "2021-06-10", "--end", "2021-06-07"), "no session from")
    assert not Path("runs").exists()


def test_a_range_before_the_first_model(line: Line, market: SmallMarket) -> None:
    """Too early to train: the weeks are skipped, so no model is in force."""
    ended = line("backtest", "--store", market.store, "--start", "2019-03-01", "--end", "2019-03-20")
    refused(ended, "no model is in force on 2019-03-01")
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", ["train", "backtest"])
def test_unknown_kind(line: Line, market: SmallMarket, command: str) -> None:
    refused(line(command, "--store", market.store, "--start", "2021-12-20", "--kind", "foo"), "kind must be one of")


def test_bad_numbers(line: Line, market: SmallMarket) -> None:
    refused(line("backtest", "--store", market.store, "--costs", -1), "cost_multiplier")
    refused(line("ingest", "--store", "m.duckdb", "--signal", 0.9), "signal")
    for command in (("backtest", "--cash", 0), ("backtest", "--cash", "nan")):
        ended = line(*command, "--store", market.store, "--start", "2021-12-20", "--kind", "none")
        refused(ended, "cash must be")
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["a/b", "../up", "/absolute", ".", "..", ""])
def test_name_of_a_run_is_a_plain_name(line: Line, market: SmallMarket, name: str) -> None:
    """A range without models, so that a name let through ends before anything is written."""
    span = ("--start", "2019-03-01", "--end", "2019-03-20")
    refused(line("backtest", "--store", market.store, "--name", name, *span), "plain folder name")


@pytest.mark.parametrize(
    "arguments",
    [("backtest", "--nonsense"), ("nonsense",), ("backtest", "--start", "yesterday"), ("backtest", "--trials", "0")],
)
def test_usage_errors(line: Line, arguments: tuple[str, ...]) -> None:
    ended = line(*arguments)
    assert ended.code == 2
    assert "Usage" in ended.error
    assert "Traceback" not in ended.error


def scoring(prepared_market: SmallMarket, storage: Path, maximum_age: int = 35) -> typer.Typer:
    """A command that scores the sessions of the small market."""
    command = typer.Typer(pretty_exceptions_enable=False)

    @command.command()
    def score() -> None:
        parameters = replace(PARAMETERS, model_maximum_age_days=maximum_age)
        score_sessions(prepared_market.prepared, storage, parameters, prepared_market.start, prepared_market.stop)

    return command


def test_bundle_with_a_wrong_hash_and_model_older_than_the_policy(line: Line, market: SmallMarket) -> None:
    storage = Path(shutil.copytree(market.storage / "quant50", Path("storage/quant50"))).parent
    assert line(app=scoring(market, storage)).code == 0
    refused(line(app=scoring(market, storage, maximum_age=2)), "days old on .*, the policy allows 2")
    path = storage / model_path(bundles(storage)[2].usable_from)
    path.write_bytes(path.read_bytes() + b"x")
    refused(line(app=scoring(market, storage)), r"model bundle .*\.pkl refused: .*sha256")


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2, r"disk is full \(runs/x\)"),
        (DataError("one sentence"), 2, "error: one sentence"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (DataError("in /data/[old]/x"), 2, r"/data/\[old\]/x"),
        (DataError("in /data/[/x]"), 2, r"/data/\[/x\]"),
    ],
)
def test_how_errors_end_a_command(line: Line, raised: BaseException, code: int, words: str) -> None:
    command = typer.Typer(pretty_exceptions_enable=False)

    @command.command()
    def fail() -> None:
        raise raised

    ended = line(app=command)
    assert ended.code == code
    assert re.search(words, ended.error)


def test_backtest_from_the_command_line(line: Line, market: SmallMarket) -> None:
    """Trains, trades and records; a second run trains nothing, mends an altered bundle and writes the same."""
    arguments = ("backtest", "--store", market.store, "--start", "2021-12-13", "--kind", "none", "--name", "short")
    first = line(*arguments)
    assert first.code == 0, first
    assert "SIMULATED MARKET" in first.out
    assert "3 trained" in first.out
    result = read_run(Path("runs/short"))
    assert result.manifest.model == "none"
    assert result.manifest.simulated
    assert str(result.first_date) == "2021-12-13"
    assert result.last_date == market.prepared.market.panel.dates[-1]
    entry = bundles(Path("storage"))[1]
    bundle = Path("storage") / entry.path
    bundle.write_bytes(b"altered")
    kept = {path.name: path.read_bytes() for path in Path("runs/short").iterdir()}
    second = line(*arguments)
    assert second.code == 0, second
    assert "3 cached" in second.out
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() == entry.sha256
    assert np.array_equal(read_run(Path("runs/short")).column("equity", "equity"), result.column("equity", "equity"))
    for name in ("orders.parquet", "equity.parquet", "metrics.json"):
        assert (Path("runs/short") / name).read_bytes() == kept[name]


def test_help_names_every_command(line: Line) -> None:
    ended = line("--help")
    assert ended.code == 0
    names = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert names >= {"demo", "ingest", "train", "backtest", "study", "replay"}
    assert all(name in ended.out for name in names)


def test_a_process_of_its_own_ends_the_same_way(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "training", "backtest", "--store", str(tmp_path / "nowhere.duckdb")],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    refused(Ended(ended.returncode, ended.stdout, ended.stderr), "nowhere.duckdb")
