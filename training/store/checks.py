"""Checks at the door, pure functions on frames: what is rejected and why, what is flagged and kept.

A rejection is a column of reasons beside the rows, '' for a row that passes; the first reason that holds is given.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.sources.records import ACTION_KINDS

MOVE_LIMIT: Final[float] = 0.40
"""One-day move of the raw close that is flagged when no action explains it (fraction)."""

STALE_BARS: Final[int] = 5
"""Consecutive bars with one and the same close that make a stale run."""

Reasons = NDArray[np.object_]

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "bars": ("ticker", "date"),
    "actions": ("ticker", "date", "kind"),
    "renames": ("ticker", "date"),
    "assets": ("ticker",),
    "index_holdings": ("date", "symbol"),
    "rates": ("date",),
    "vix": ("date",),
    "factors": ("date",),
}
"""What names a row. Share classes may carry one symbol in a holdings file: there it is no unique key."""


def normalised(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with dates as datetime64 without time of day; what is no date becomes missing."""
    dates = [c for c in ("date", "first_date", "last_date") if c in frame.columns]
    converted = {c: pd.to_datetime(frame[c], errors="coerce").dt.normalize() for c in dates}
    return frame.assign(**converted).reset_index(drop=True)


def rejections(table: str, frame: pd.DataFrame, as_of: date, known: set[tuple[object, ...]]) -> Reasons:
    """Reason to reject each row of a normalised frame, '' where there is none.

    Parameters
    ----------
    table : a table of `training.sources.records.COLUMNS`
    frame : its rows, in the source's order
    as_of : last day the source can know of
    known : keys (`KEYS`) already in the store

    Returns
    -------
    (rows,) object array of str
    """
    reasons: Reasons = np.full(len(frame), "", dtype=object)

    def reject(rows: NDArray[np.bool_] | pd.Series, reason: str) -> None:
        reasons[np.asarray(rows, dtype=bool) & (reasons == "")] = reason

    keys = list(KEYS[table])
    reject(frame[keys].isna().any(axis=1), "missing " + " or ".join(keys))
    if "date" in frame:
        reject(frame["date"] > pd.Timestamp(as_of), "future date")
    if table == "bars":
        _reject_bars(frame, reject)
    elif table == "actions":
        _reject_actions(frame, reject)
    elif table == "index_holdings":
        reject(~np.isfinite(numbers(frame, "weight")), "weight not a number")
    elif table == "assets":
        reject(~frame["type"].isin(["stock", "etf"]), "type neither stock nor etf")
        reject(frame["first_date"] > frame["last_date"], "last date before first date")
    elif table in ("rates", "vix", "factors"):
        values = [c for c in ("dtb3", "close", "mkt_rf") if c in frame]
        reject(~np.isfinite(numbers(frame, values[0])), f"{values[0]} not a number")
    unique = ["date", "ticker"] if table == "index_holdings" else keys
    good = (reasons == "") & frame[unique].notna().all(axis=1).to_numpy()
    repeated = np.zeros(len(frame), dtype=bool)
    repeated[good] = frame.loc[good, unique].duplicated(keep="first").to_numpy()
    if known:
        repeated[good] |= [row in known for row in frame.loc[good, unique].itertuples(index=False, name=None)]
    reject(repeated, f"duplicate ({', '.join(unique)})")
    if table == "bars":
        reject(unsorted(frame, reasons == ""), "unsorted date")
    return reasons


def unsorted(frame: pd.DataFrame, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Valid rows whose date lies before an earlier valid row's of the same ticker, (rows,)."""
    days = frame["date"].where(valid)
    latest = days.groupby(frame["ticker"], sort=False).cummax()
    return np.asarray(valid & (days < latest).to_numpy())


def outside_listing(events: pd.DataFrame, assets: pd.DataFrame) -> Reasons:
    """Reason to reject actions or renames by the asset's listing, '' where there is none, (rows,).

    A missing first or last date leaves that side open.
    """
    listing = events[["ticker", "date"]].merge(assets[["ticker", "first_date", "last_date"]], how="left", on="ticker")
    outside = (listing["date"] < listing["first_date"]) | (listing["date"] > listing["last_date"])
    unknown = ~events["ticker"].isin(assets["ticker"])
    reasons: Reasons = np.where(outside, "ex-date outside the listing", "").astype(object)
    reasons[unknown.to_numpy()] = "ticker without asset record"
    return reasons


def flags(bars: pd.DataFrame, actions: pd.DataFrame, assets: pd.DataFrame, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """What is odd about accepted bars but may be true: kept, and listed here.

    Parameters
    ----------
    bars : whole tickers, sorted by ticker and date
    actions, assets : of those tickers
    sessions : sessions of the NYSE calendar that span the bars

    Returns
    -------
    frame with ticker, date, kind, detail; kinds: 'move', 'stale run', 'missing session', 'not a session',
    'no asset record', 'outside listing'
    """
    found = [*_moves(bars, actions), *_stale_runs(bars), *_calendar(bars, sessions), *_listing(bars, assets)]
    return pd.DataFrame(found, columns=["ticker", "date", "kind", "detail"])


def numbers(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column as float64, NaN where it is no number."""
    return np.asarray(pd.to_numeric(frame[column], errors="coerce"), dtype=np.float64)


Reject = Callable[[NDArray[np.bool_], str], None]
Flag = tuple[Any, Any, str, str]


def _reject_bars(frame: pd.DataFrame, reject: Reject) -> None:
    prices = {name: numbers(frame, name) for name in ("open", "high", "low", "close")}
    for price in prices.values():
        reject(~((price > 0) & np.isfinite(price)), "price not positive")
    reject(prices["high"] < prices["low"], "high below low")
    for name in ("open", "close"):
        reject((prices[name] < prices["low"]) | (prices[name] > prices["high"]), f"{name} outside low and high")
    volume = numbers(frame, "volume")
    reject(~((volume >= 0) & np.isfinite(volume)), "volume not zero or more")


def _reject_actions(frame: pd.DataFrame, reject: Reject) -> None:
    kind, value = frame["kind"], numbers(frame, "value")
    reject(~kind.isin(ACTION_KINDS).to_numpy(), "unknown kind of action")
    bad = ~((value > 0) & np.isfinite(value))
    reject(bad & (kind == "split").to_numpy(), "split ratio not positive")
    reject(bad, "cash value not positive")


def _moves(bars: pd.DataFrame, actions: pd.DataFrame) -> list[Flag]:
    move = bars["close"] / bars.groupby("ticker", sort=False)["close"].shift() - 1.0
    large = bars.assign(move=move)[move.abs() > MOVE_LIMIT]
    explained = set(actions[["ticker", "date"]].itertuples(index=False, name=None))
    return [
        (row.ticker, row.date, "move", f"{row.move:+.1%} with no recorded action")
        for row in large.itertuples(index=False)
        if (row.ticker, row.date) not in explained
    ]


def _stale_runs(bars: pd.DataFrame) -> list[Flag]:
    new = (bars["ticker"] != bars["ticker"].shift()) | (bars["close"] != bars["close"].shift())
    runs = bars.groupby(new.cumsum(), sort=False).agg(
        ticker=("ticker", "first"), date=("date", "first"), last=("date", "last"), bars=("date", "size")
    )
    return [
        (run.ticker, run.date, "stale run", f"{run.bars} bars with one close to {run.last:%Y-%m-%d}")
        for run in runs[runs["bars"] >= STALE_BARS].itertuples(index=False)
    ]


def _calendar(bars: pd.DataFrame, sessions: pd.DatetimeIndex) -> list[Flag]:
    found: list[Flag] = []
    for ticker, days in bars.groupby("ticker", sort=False)["date"]:
        span = sessions[(sessions >= days.iloc[0]) & (sessions <= days.iloc[-1])]
        held = pd.DatetimeIndex(days)
        found += [(str(ticker), day, "missing session", "no bar on an NYSE session") for day in span.difference(held)]
        found += [(str(ticker), day, "not a session", "bar on no NYSE session") for day in held.difference(sessions)]
    return found


def _listing(bars: pd.DataFrame, assets: pd.DataFrame) -> list[Flag]:
    found: list[Flag] = []
    listings = assets.set_index("ticker")
    for ticker, days in bars.groupby("ticker", sort=False)["date"]:
        if ticker not in listings.index:
            found.append((str(ticker), days.iloc[0], "no asset record", f"{len(days)} bars"))
            continue
        first, last = listings.loc[ticker, ["first_date", "last_date"]]
        found += [
            (str(ticker), day, "outside listing", "bar outside the asset's first and last date")
            for day in days[(days < first) | (days > last)]
        ]
    return found
