"""Every recorded LEAN run is reproduced order by order and cent by cent, and a wrong rule is noticed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant50.errors import DataError
from training.simulator import broker, recorded
from training.simulator.recorded import load_run, run_market
from training.simulator.replay import replay, report, trade

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.parametrize(
    ("name", "sessions", "orders"), [("simulated_2018", 498, 5167), ("simulated_2018_free", 498, 1777)]
)
def test_simulated_run_is_reproduced(name: str, sessions: int, orders: int) -> None:
    result = replay(GOLDEN / name)
    assert result.difference is None
    assert (result.name, result.sessions, result.orders) == (name, sessions, orders)


@pytest.mark.parametrize(
    ("name", "sessions", "orders"),
    [
        ("splits_2020", 222, 3557),
        ("costs_2018", 503, 16040),
        ("holes_and_delistings_2020", 144, 802),
        ("weekly_small_account_2014", 504, 1263),
        ("five_years", 1259, 67799),
    ],
)
def test_run_on_real_market_is_reproduced(
    name: str, sessions: int, orders: int, lean_golden: Path, market_data: Path
) -> None:
    result = replay(lean_golden / name, market_data)
    assert result.difference is None
    assert (result.name, result.sessions, result.orders) == (name, sessions, orders)


def test_trading_loop_of_five_years_takes_less_than_a_second(lean_golden: Path, market_data: Path) -> None:
    run = load_run(lean_golden / "five_years")
    bars = run_market(lean_golden / "five_years", run, market_data)
    begin = time.perf_counter()
    trade(run, bars)
    assert time.perf_counter() - begin < 1.0


def copy_of(name: str, folder: Path) -> Path:
    """A copy of a committed run that a test may change."""
    return Path(shutil.copytree(GOLDEN / name, folder / name))


@pytest.mark.parametrize(
    ("file", "column", "row", "change", "says"),
    [
        ("orders.csv.gz", "quantity", 100, 1, "quantity"),
        ("orders.csv.gz", "fill_price", 200, 2e-6, "fill_price"),
        ("orders.csv.gz", "fee", 300, 0.01, "fee"),
        ("days.csv", "equity", 40, 0.02, "equity"),
        ("days.csv", "cash", 60, -0.02, "cash"),
        ("days.csv", "positions", 80, 1, "positions"),
    ],
)
def test_altered_record_is_the_first_difference(
    file: str, column: str, row: int, change: float, says: str, tmp_path: Path
) -> None:
    folder = copy_of("simulated_2018", tmp_path)
    frame = pd.read_csv(folder / file)
    frame.loc[row, column] += change
    frame.to_csv(folder / file, index=False)
    difference = replay(folder).difference
    assert difference is not None
    assert f": {says} is " in difference
    day = frame.loc[row, "filled_utc" if "filled_utc" in frame else "date"][:10]
    assert difference.startswith(day)


@pytest.mark.parametrize(("column", "hours"), [("submitted_utc", 24), ("filled_utc", 24)])
def test_session_of_submission_and_fill_is_compared(column: str, hours: int, tmp_path: Path) -> None:
    folder = copy_of("simulated_2018_free", tmp_path)
    orders = pd.read_csv(folder / "orders.csv.gz")
    orders.loc[50, column] = str(pd.Timestamp(orders.loc[50, column]) + pd.Timedelta(hours=hours))
    orders.to_csv(folder / "orders.csv.gz", index=False)
    difference = replay(folder).difference
    assert difference is not None
    assert column.removesuffix("_utc") + " is" in difference


def test_missing_order_and_missing_day_are_differences(tmp_path: Path) -> None:
    folder = copy_of("simulated_2018_free", tmp_path)
    orders = pd.read_csv(folder / "orders.csv.gz")
    orders.iloc[:-1].to_csv(folder / "orders.csv.gz", index=False)
    assert "was not recorded" in str(replay(folder).difference)
    orders.to_csv(folder / "orders.csv.gz", index=False)
    days = pd.read_csv(folder / "days.csv")
    days.iloc[:-1].to_csv(folder / "days.csv", index=False)
    assert "was not recorded" in str(replay(folder).difference)


def test_rules_that_are_wrong_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # fractions of shares vanish at splits
        patch.setattr(broker, "split_quantity", lambda q, r: (np.trunc(q * r).astype(np.int64), np.zeros(len(q))))
        assert replay(GOLDEN / "simulated_2018").difference is not None
    with monkeypatch.context() as patch:  # purchases before sales
        patch.setattr(recorded, "sales_first", lambda q: np.argsort(q < 0, kind="stable"))
        assert replay(GOLDEN / "simulated_2018").difference is not None
    with monkeypatch.context() as patch:  # delistings forgotten
        patch.setattr(broker.Broker, "_close_delisted", lambda self, row: None)
        assert replay(GOLDEN / "simulated_2018_free").difference is not None
    with monkeypatch.context() as patch:  # dividends forgotten
        patch.setattr(broker.Broker, "_pay_dividends", lambda self, row: None)
        assert "equity is" in str(replay(GOLDEN / "simulated_2018_free").difference)


def test_report_prints_one_line_a_run_and_returns_one_for_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report([GOLDEN / "simulated_2018", GOLDEN / "simulated_2018_free"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "simulated_2018: 498 sessions, 5167 orders: exact",
        "simulated_2018_free: 498 sessions, 1777 orders: exact",
    ]
    folder = copy_of("simulated_2018_free", tmp_path)
    days = pd.read_csv(folder / "days.csv")
    days.loc[3, "cash"] += 1
    days.to_csv(folder / "days.csv", index=False)
    assert report([folder, GOLDEN / "simulated_2018"]) == 1
    assert "DIFFERS: " in capsys.readouterr().out


def test_missing_market_and_missing_folder_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy_of("simulated_2018_free", tmp_path)
    (folder / "bars.csv.gz").unlink()
    with pytest.raises(DataError, match="give the folder of the market data"):
        replay(folder)
    with pytest.raises(DataError, match="cannot be read"):
        replay(folder, tmp_path)
    assert report([tmp_path / "nothing"]) == 1
    assert "cannot be read" in capsys.readouterr().out
