"""Runs recorded from the real LEAN engine: their folder, their market and the strategy they followed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Floats, Ints
from training.simulator.bars import MarketBars
from training.simulator.broker import Fee
from training.simulator.loop import Portfolio, Strategy
from training.simulator.orders import Orders, sales_first


@dataclass(frozen=True)
class RecordedRun:
    """One folder of a recorded run.

    Attributes
    ----------
    name : of the folder
    start, end : first and last day of the run
    tickers : sorted
    cash : USD at the start
    slippage : part of the fill session's open
    sell_fee : part of a sale's value at the open
    targets : date, ticker, weight
    orders : finished orders in LEAN's order of processing
    days : date, equity, cash, positions
    events : date, ticker, kind, value
    """

    name: str
    start: np.datetime64
    end: np.datetime64
    tickers: tuple[str, ...]
    cash: float
    slippage: float
    sell_fee: float
    targets: pd.DataFrame
    orders: pd.DataFrame
    days: pd.DataFrame
    events: pd.DataFrame


def load_run(folder: Path) -> RecordedRun:
    """Read a recorded run; DataError names the file that is missing or cannot be read."""
    try:
        parameters = json.loads((folder / "parameters.json").read_text())
        frames = {
            name: pd.read_csv(folder / file, parse_dates=["date"] if name != "orders" else None)
            for name, file in {
                "targets": "targets.csv.gz", "orders": "orders.csv.gz", "days": "days.csv", "events": "events.csv",
            }.items()
        }  # fmt: skip
        return RecordedRun(
            name=folder.name,
            start=np.datetime64(parameters["start"], "D"),
            end=np.datetime64(parameters["end"], "D"),
            tickers=tuple(sorted(parameters["tickers"])),
            cash=float(parameters["cash"]),
            slippage=float(parameters["slippage"]),
            sell_fee=float(parameters["sell_fee"]),
            **frames,
        )
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"recorded run {folder}: cannot be read: {error}") from error


def run_market(folder: Path, run: RecordedRun, market: Path | None) -> MarketBars:
    """The bars a run was recorded on, its own or those of a Parquet folder less the run's holes.

    Dividends are taken as LEAN paid them (events.csv): LEAN derives them from its factor file and rounds them to the
    cent, and whether half a cent goes up or down depends on that file's digits, which a recorded run does not hold.

    Raises
    ------
    DataError
        The run has no bars of its own and no Parquet folder is given, or the files contradict each other.
    """
    if (folder / "bars.csv.gz").exists():
        bars = pd.read_csv(folder / "bars.csv.gz", parse_dates=["date"])
        actions = pd.read_csv(folder / "actions.csv", parse_dates=["date"])
        sessions = np.unique(_days(bars["date"]))
    elif market is None:
        raise DataError(f"recorded run {folder.name}: it has no bars of its own; give the folder of the market data")
    else:
        bars, actions, sessions = _parquet_bars(folder, run, market)
    splits = actions[actions["kind"] == "split"]
    paid = run.events[run.events["kind"] == "dividend"]
    open_, close = (_grid(bars, name, sessions, run.tickers, np.nan) for name in ("open", "close"))
    traded = np.isfinite(close)
    last = len(sessions) - 1 - np.argmax(traded[::-1], axis=0)
    return MarketBars(
        dates=sessions,
        tickers=run.tickers,
        open=open_,
        close=close,
        split=_grid(splits, "value", sessions, run.tickers, 1.0),
        dividend=_grid(paid, "value", sessions, run.tickers, 0.0),
        last_session=np.where(last == len(sessions) - 1, -1, last),
    )


def scripted_targets(run: RecordedRun, bars: MarketBars) -> Strategy:
    """The strategy of the recorded runs: `floor(weight · equity / last close)` shares, open orders NOT netted."""
    rows = np.searchsorted(bars.dates, _days(run.targets["date"]))
    columns = np.searchsorted(np.array(run.tickers), run.targets["ticker"].to_numpy(dtype=str))
    order = np.lexsort((columns, rows))
    rows, columns, weights = rows[order], columns[order], run.targets["weight"].to_numpy()[order]
    bounds = np.searchsorted(rows, np.arange(len(bars.dates) + 1))

    def strategy(row: int, portfolio: Portfolio) -> Orders:
        today = slice(bounds[row], bounds[row + 1])
        listed = (bars.mark[row, columns[today]] > 0) & ~bars.delisted(row)[columns[today]]
        column = columns[today][listed]
        target = np.floor(weights[today][listed] * portfolio.equity / bars.mark[row, column]).astype(np.int64)
        delta = target - portfolio.shares[column]
        changed = np.flatnonzero(delta)
        chosen = changed[sales_first(delta[changed])]
        n = len(chosen)
        return Orders(column[chosen], delta[chosen], np.full(n, run.slippage), [""] * n)

    return strategy


def sales_fee(rate: float) -> Fee:
    """The recorded runs' fee: a part of a sale's value at the open, rounded up to the cent; nothing on purchases.

    >>> sales_fee(2.78e-5)(0, np.array([0, 0]), np.array([-100, 100]), np.array([50.0, 50.0])).tolist()
    [0.14, 0.0]
    """

    def fee(_row: int, _columns: Ints, quantities: Ints, opens: Floats) -> Floats:
        # Rounding first keeps a product such as 14.000000000000002 cents from costing fifteen.
        cents = np.ceil(np.round(rate * np.maximum(-quantities, 0) * opens * 100, 6))
        return np.asarray(cents / 100)

    return fee


def _days(values: pd.Series) -> NDArray[np.datetime64]:
    return values.to_numpy().astype("datetime64[D]")


def _parquet_bars(
    folder: Path, run: RecordedRun, market: Path
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.datetime64]]:
    """Bars and actions of the run's tickers, and all sessions of the dataset."""
    wanted = [("ticker", "in", list(run.tickers))]
    try:
        dates = pyarrow.parquet.read_table(market / "bars.parquet", columns=["date"])["date"]
        bars = pd.read_parquet(market / "bars.parquet", columns=["date", "ticker", "open", "close"], filters=wanted)
        actions = pd.read_parquet(
            market / "actions.parquet", columns=["date", "ticker", "kind", "value"], filters=wanted
        )
        holes = pd.read_csv(folder / "holes.csv", parse_dates=["date"])
    except (OSError, ValueError) as error:
        raise DataError(f"market data {market}: cannot be read: {error}") from error
    for frame in (bars, actions):
        frame["date"] = pd.to_datetime(frame["date"])
    absent = pd.MultiIndex.from_frame(bars[["ticker", "date"]]).isin(
        pd.MultiIndex.from_frame(holes[["ticker", "date"]])
    )
    sessions = np.sort(pyarrow.compute.unique(dates).to_numpy(zero_copy_only=False).astype("datetime64[D]"))
    return bars[~absent], actions, sessions


def _grid(
    frame: pd.DataFrame, name: str, sessions: NDArray[np.datetime64], tickers: tuple[str, ...], empty: float
) -> Floats:
    """Values by session and ticker, (T, N)."""
    dates, symbols = _days(frame["date"]), frame["ticker"].to_numpy(dtype=str)
    rows, columns = np.searchsorted(sessions, dates), np.searchsorted(np.array(tickers), symbols)
    known = (rows < len(sessions)) & (columns < len(tickers))
    if not np.all(known) or np.any(sessions[rows] != dates) or np.any(np.array(tickers)[columns] != symbols):
        raise DataError(f"recorded run: {name} on a day without a session or of a ticker outside the run")
    grid = np.full((len(sessions), len(tickers)), empty)
    grid[rows, columns] = frame[name].to_numpy(dtype=np.float64)
    return grid
