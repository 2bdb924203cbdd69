"""Replays runs recorded from the real LEAN engine and names the first difference, if there is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant50.errors import DataError
from training.simulator.bars import MarketBars
from training.simulator.broker import DELISTING
from training.simulator.loop import Ledger, simulate
from training.simulator.orders import Status
from training.simulator.recorded import RecordedRun, load_run, run_market, sales_fee, scripted_targets

EXACT: Final = 1e-6
"""Tolerance of a price and a fee, USD."""
CENT: Final = 0.005
"""Tolerance of equity and cash, USD: to the cent."""

ORDER_TOLERANCES: Final[dict[str, float]] = {
    "id": 0, "submitted": 0, "filled": 0, "ticker": 0, "quantity": 0, "status": 0, "tag": 0, "fill_price": EXACT,
    "fee": EXACT,
}  # fmt: skip
DAY_TOLERANCES: Final[dict[str, float]] = {"date": 0, "equity": CENT, "cash": CENT, "positions": 0}


@dataclass(frozen=True)
class ReplayResult:
    """Outcome of one replay.

    Attributes
    ----------
    name : of the run
    sessions, orders : numbers compared
    difference : the first difference in time, None if every value agrees
    """

    name: str
    sessions: int
    orders: int
    difference: str | None

    def __str__(self) -> str:
        """One line for people."""
        outcome = "exact" if self.difference is None else f"DIFFERS: {self.difference}"
        return f"{self.name}: {self.sessions} sessions, {self.orders} orders: {outcome}"


def replay(run_folder: Path, market_folder: Path | None = None) -> ReplayResult:
    """Trade a recorded run again and compare every order and every session.

    The dividends are those LEAN paid (events.csv), everything else follows from the bars, the actions and the
    targets; see `training.simulator.recorded.run_market`.

    Parameters
    ----------
    run_folder : folder in the format of the recorded runs
    market_folder : folder with bars.parquet and actions.parquet, for runs that have no bars of their own

    Raises
    ------
    DataError
        A file is missing or contradicts another.
    """
    run = load_run(run_folder)
    bars = run_market(run_folder, run, market_folder)
    return compare(run, bars, trade(run, bars))


def trade(run: RecordedRun, bars: MarketBars) -> Ledger:
    """Trade the targets of a recorded run on its bars."""
    start = int(np.searchsorted(bars.dates, run.start))
    stop = int(np.searchsorted(bars.dates, run.end, side="right"))
    return simulate(bars, scripted_targets(run, bars), run.cash, sales_fee(run.sell_fee), start, stop)


def compare(run: RecordedRun, bars: MarketBars, ledger: Ledger) -> ReplayResult:
    """Hold a ledger against the recorded orders and days.

    Each order's id, submission and fill session, ticker, quantity, status and tag must be equal, in LEAN's order of
    processing; its price and fee to 1e-6 USD; equity and cash of each session to the cent.
    """
    differences = [
        _first_difference("order", "filled", _recorded_orders(run), _simulated_orders(bars, ledger), ORDER_TOLERANCES),
        _first_difference("session", "date", _recorded_days(run), _simulated_days(bars, ledger), DAY_TOLERANCES),
    ]
    found = [difference for difference in differences if difference is not None]
    first = min(found)[1] if found else None
    return ReplayResult(run.name, len(run.days), len(run.orders), first)


def report(run_folders: Iterable[Path], market_folder: Path | None = None) -> int:
    """Print one line a run; return 1 if a run differs or cannot be replayed, else 0."""
    code = 0
    for folder in run_folders:
        try:
            result = replay(folder, market_folder)
        except DataError as error:
            print(f"{folder.name}: {error}")
            code = 1
        else:
            print(result)
            code = max(code, int(result.difference is not None))
    return code


def _new_york_days(stamps: pd.Series) -> NDArray[np.datetime64]:
    """Calendar day in New York of stamps in UTC: the session after whose close an order left or at which it filled."""
    local = pd.to_datetime(stamps, utc=True).dt.tz_convert("America/New_York")
    return local.dt.tz_localize(None).to_numpy().astype("datetime64[D]")


def _recorded_orders(run: RecordedRun) -> pd.DataFrame:
    orders = run.orders
    return pd.DataFrame(
        {
            "id": orders["id"],
            "submitted": _new_york_days(orders["submitted_utc"]),
            "filled": _new_york_days(orders["filled_utc"]),
            "ticker": orders["ticker"],
            "quantity": orders["quantity"].astype(np.int64),
            "status": orders["status"].astype(str),
            "tag": orders["tag"].fillna("").astype(str),
            "fill_price": orders["fill_price"],
            "fee": orders["fee"],
        }
    )


def _simulated_orders(bars: MarketBars, ledger: Ledger) -> pd.DataFrame:
    """Finished orders with an id, in order of processing."""
    rows = ledger.processed[ledger.orders["id"][ledger.processed] > 0]
    orders, reasons = ledger.orders[rows], np.array(ledger.reasons, dtype=object)[rows]
    # LEAN closes a delisted holding on the calendar day after the last bar, which need not be a session.
    day_after = bars.dates[bars.last_session[orders["column"]]] + np.timedelta64(1, "D")
    delisting = reasons == DELISTING
    return pd.DataFrame(
        {
            "id": orders["id"],
            "submitted": np.where(delisting, day_after, bars.dates[orders["submitted"]]),
            "filled": np.where(delisting, day_after, bars.dates[orders["finished"]]),
            "ticker": np.array(bars.tickers, dtype=object)[orders["column"]],
            "quantity": orders["quantity"],
            "status": [Status(code).name for code in orders["status"]],
            "tag": reasons,
            "fill_price": orders["price"],
            "fee": orders["fee"],
        }
    )


def _recorded_days(run: RecordedRun) -> pd.DataFrame:
    return run.days.assign(date=run.days["date"].to_numpy().astype("datetime64[D]"))


def _simulated_days(bars: MarketBars, ledger: Ledger) -> pd.DataFrame:
    days = pd.DataFrame({name: ledger.days[name] for name in ("equity", "cash", "positions")})
    return days.assign(date=bars.dates[ledger.start : ledger.start + len(days)])


def _first_difference(
    noun: str, day: str, expected: pd.DataFrame, actual: pd.DataFrame, tolerances: dict[str, float]
) -> tuple[pd.Timestamp, str] | None:
    """Day and description of the first row in which two tables disagree."""
    n = min(len(expected), len(actual))
    differs = {
        name: (
            ~(np.abs(expected[name].to_numpy()[:n] - actual[name].to_numpy()[:n]) <= tolerance)  # NaN differs
            if tolerance
            else expected[name].to_numpy()[:n] != actual[name].to_numpy()[:n]
        )
        for name, tolerance in tolerances.items()
    }
    wrong = np.logical_or.reduce(list(differs.values()))
    if np.any(wrong):
        i = int(np.argmax(wrong))
        name = next(name for name in tolerances if differs[name][i])
        where = expected.iloc[i]
        label = f"{noun} {where['id']} {where['ticker']}" if noun == "order" else noun
        text = f"{where[day]:%Y-%m-%d} {label}: {name} is {actual[name].iloc[i]}, recorded {where[name]}"
        return pd.Timestamp(where[day]), text
    if len(expected) != len(actual):
        extra = (expected if len(expected) > n else actual).iloc[n]
        verb = "is missing" if len(expected) > n else "was not recorded"
        return pd.Timestamp(extra[day]), f"{extra[day]:%Y-%m-%d} {noun} number {n + 1} {verb}: {extra.to_dict()}"
    return None
