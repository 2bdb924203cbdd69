"""Weekly training: leaks, the cache, resumption, and equality of all ways to train a week."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quant50.model import loads
from quant50.panel import Panel
from training.dataset import Week, usable, weeks
from training.fit import FitParameters
from training.registry import bundle_in_force, bundles, read_index
from training.training_set import TrainingSet
from training.weekly import Result, anchor_week, train_weeks

NAMES = ("volatility_21", "momentum_12_1", "beta_252")
SESSIONS, TICKERS = 130, 20
PARAMETERS = FitParameters(
    trees=4, leaves=4, minimum_leaf_rows=20, minimum_sessions=30, sessions_step=2, training_years=0.3,
    ic_refresh_weeks=4,
)  # fmt: skip


def training_set(change: int | None = None, seed: int = 0) -> TrainingSet:
    """A random market; `change` alters every array from that session on, and every label whose span reaches it."""
    random, other = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    shape = (SESSIONS, TICKERS)
    sessions = np.arange(SESSIONS)

    def field(draw: Any, reach: int = 0) -> Any:
        values, later = draw(random), draw(other)
        if change is not None:
            values[max(change - reach, 0) :] = later[max(change - reach, 0) :]
        return values

    close = field(lambda generator: np.exp(generator.normal(3.0, 0.1, shape)))
    panel = Panel(
        dates=np.busday_offset("2019-01-02", sessions), tickers=tuple(f"T{n:02d}" for n in range(TICKERS)),
        open=close, high=close, low=close, close=close, volume=np.ones(shape),
        split=field(lambda generator: np.where(generator.random(shape) < 0.01, 2.0, 1.0)),
        dividend=field(lambda generator: np.where(generator.random(shape) < 0.01, 0.5, 0.0)),
        member=np.ones(shape, bool), constituent=np.ones(shape, bool),
        sector=np.tile(np.arange(TICKERS) % 11, (SESSIONS, 1)).astype(np.int8),
        is_etf=np.arange(TICKERS) == TICKERS - 1,
    )  # fmt: skip
    features = field(lambda generator: generator.uniform(-0.5, 0.5, (*shape, 3)).astype(np.float32))
    excess = field(lambda generator: generator.standard_normal(shape), reach=6)
    return TrainingSet.build(panel, features, excess, sessions + 6, NAMES, commit="abc")


def files(storage: Path) -> dict[str, bytes]:
    return {str(path.relative_to(storage)): path.read_bytes() for path in sorted(storage.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["lightgbm", "ridge"])
def test_nothing_from_the_week_on_changes_its_bundle(kind: str, tmp_path: Path) -> None:
    parameters = replace(PARAMETERS, kind=kind)
    week = weeks(training_set().panel.dates)[18]
    for name, change in (("whole", None), ("later", week.first_row), ("earlier", week.trained_through)):
        train_weeks(training_set(change), [week], tmp_path / name, parameters)
    assert files(tmp_path / "whole") == files(tmp_path / "later")
    assert files(tmp_path / "whole") != files(tmp_path / "earlier")


def test_a_bundle_says_what_it_was_made_of(tmp_path: Path) -> None:
    data = training_set()
    week = weeks(data.panel.dates)[18]
    train_weeks(data, [week], tmp_path, PARAMETERS)
    bundle = bundle_in_force(tmp_path, week.usable_from.item(), NAMES, 35)
    session = data.rows.session[usable(data.rows, week, PARAMETERS.training_years)]
    assert bundle.usable_from == str(week.usable_from)
    assert bundle.trained_through == str(data.panel.dates[week.first_row - 1])
    assert session.max() + 6 == week.first_row - 1
    assert bundle.window == f"{data.panel.dates[session.min()]}..{data.panel.dates[session.max()]}"
    assert bundle.commit == "abc"
    assert len(bundle.sectors) == TICKERS - 1  # the ETF has none
    assert bundle.metrics["rows"] == (TICKERS - 1) * bundle.metrics["sessions"]
    acted = (data.panel.split != 1.0) | (data.panel.dividend != 0.0)
    assert len(bundle.actions) == acted[: week.first_row].sum() > 0
    assert all(day <= bundle.trained_through for day, *_ in bundle.actions)


def test_one_week_alone_in_two_processes_or_on_a_shorter_panel_is_the_same(tmp_path: Path) -> None:
    data = training_set()
    chosen = weeks(data.panel.dates)[14:22]
    together = train_weeks(data, chosen, tmp_path / "together", PARAMETERS, workers=1)
    assert [result.status for result in together] == ["trained"] * 8
    processes = train_weeks(data, chosen, tmp_path / "processes", PARAMETERS, workers=2)
    assert processes == together
    assert files(tmp_path / "processes") == files(tmp_path / "together")
    for number, week in enumerate(chosen):
        short = replace(data, panel=data.panel.rows(0, week.first_row + 1),
                        rows=replace(data.rows.take(usable(data.rows, week, 9.0)),
                                     dates=data.rows.dates[: week.first_row + 1]))  # fmt: skip
        (result,) = train_weeks(short, [week], tmp_path / f"alone{number}", PARAMETERS)
        assert result == together[number]
        name = f"quant50/models/{week.usable_from}.pkl"
        assert (tmp_path / f"alone{number}" / name).read_bytes() == (tmp_path / "together" / name).read_bytes()


def test_an_unchanged_week_is_not_trained_twice(tmp_path: Path) -> None:
    data = training_set()
    chosen = weeks(data.panel.dates)[14:18]
    seen: list[tuple[int, int, Result]] = []
    train_weeks(data, chosen[:2], tmp_path, PARAMETERS, workers=1)
    results = train_weeks(
        data, chosen, tmp_path, PARAMETERS, 1, progress=lambda done, total, result: seen.append((done, total, result))
    )
    assert [result.status for result in results] == ["cached", "cached", "trained", "trained"]
    assert seen == [(done, 4, result) for done, result in enumerate(results, start=1)]
    before = files(tmp_path)
    again = train_weeks(data, chosen, tmp_path, PARAMETERS, 1, reason="again")
    assert {result.status for result in again} == {"cached"}
    assert files(tmp_path) == before
    changed = train_weeks(data, chosen, tmp_path, replace(PARAMETERS, trees=5), 1)
    assert {result.status for result in changed} == {"trained"}
    assert len(read_index(tmp_path)) == 8
    assert len(bundles(tmp_path)) == 4
    back = train_weeks(data, chosen, tmp_path, PARAMETERS, 1)
    assert {result.status for result in back} == {"cached"}
    assert bundle_in_force(tmp_path, chosen[-1].usable_from.item()).parameters["trees"] == 4


def test_data_that_only_the_ic_estimate_saw_change_the_key(tmp_path: Path) -> None:
    data = training_set()
    calendar = weeks(data.panel.dates)
    week = next(week for week in calendar[18:] if week.number % PARAMETERS.ic_refresh_weeks == 3)
    anchor = anchor_week(week, calendar, PARAMETERS.ic_refresh_weeks)
    first = usable(data.rows, anchor, PARAMETERS.training_years)[0]
    assert first < usable(data.rows, week, PARAMETERS.training_years)[0]
    excess = data.rows.excess.copy()
    excess[first] += 1.0
    changed = replace(data, rows=replace(data.rows, excess=excess))
    (before,) = train_weeks(data, [week], tmp_path, PARAMETERS)
    (after,) = train_weeks(changed, [week], tmp_path, PARAMETERS)
    assert (after.status, after.key != before.key) == ("trained", True)


def test_a_damaged_cache_is_trained_again(tmp_path: Path) -> None:
    data = training_set()
    week = weeks(data.panel.dates)[14]
    (result,) = train_weeks(data, [week], tmp_path, PARAMETERS)
    before = files(tmp_path)
    (tmp_path / "cache" / f"{result.key}.pkl").write_bytes(b"half a fi")
    assert train_weeks(data, [week], tmp_path, PARAMETERS)[0].status == "trained"
    assert files(tmp_path) == before


def test_too_little_history_is_skipped_and_said(tmp_path: Path) -> None:
    data = training_set()
    chosen = weeks(data.panel.dates)[:9]
    results = train_weeks(data, chosen, tmp_path, PARAMETERS, workers=1)
    for week, result in zip(chosen, results, strict=True):
        enough = len(np.unique(data.rows.session[usable(data.rows, week, 0.3)])) >= 30
        assert result.status == ("trained" if enough else "skipped")
        assert bool(result.reason) != enough
    assert {result.status for result in results} == {"trained", "skipped"}


def test_the_anchor_is_never_later() -> None:
    calendar = [Week(np.datetime64(date(2020, 1, 6)), row, number) for row, number in enumerate((12, 13, 15, 16, 30))]
    found = [anchor_week(week, calendar, 13).number for week in calendar]
    assert found == [12, 13, 13, 13, 30]


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_weekly import PARAMETERS, training_set
from training.dataset import weeks
from training.weekly import train_weeks
if __name__ == "__main__":
    data = training_set()
    train_weeks(data, weeks(data.panel.dates)[10:24], Path(sys.argv[2]), PARAMETERS, workers=2)
"""


def test_a_killed_run_is_completed_to_the_same_bytes(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    here = Path(__file__)
    process = subprocess.Popen(
        [sys.executable, str(script), str(here.parent), str(tmp_path / "killed")], cwd=here.parents[2]
    )
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed").glob("cache/*.pkl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    data = training_set()
    chosen = weeks(data.panel.dates)[10:24]
    for stored in (tmp_path / "killed" / "cache").glob("[!.]*.pkl"):
        loads(stored.read_bytes())
    results = train_weeks(data, chosen, tmp_path / "killed", PARAMETERS, workers=1)
    assert sum(result.status == "cached" for result in results) >= 2
    train_weeks(data, chosen, tmp_path / "whole", PARAMETERS, workers=1)
    left = {name: content for name, content in files(tmp_path / "killed").items() if "/." not in name}
    assert left == files(tmp_path / "whole")
