"""Tables of the store as arrays of sessions × tickers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant50.panel import Floats

Dates = NDArray[np.datetime64]

BAR_FIELDS: Final[tuple[str, ...]] = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Axes:
    """The sessions and tickers of a panel, registered with a connection for joins.

    Attributes
    ----------
    dates : (T,) sessions, a run of `every` without gaps
    tickers : N tickers, sorted
    every : all sessions of the store
    """

    dates: Dates
    tickers: tuple[str, ...]
    every: Dates

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N)."""
        return len(self.dates), len(self.tickers)

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the axes known to the connection as the tables `panel_rows` and `panel_columns`."""
        rows = pd.DataFrame({"date": self.dates.astype("datetime64[s]"), "t": np.arange(len(self.dates))})
        columns = pd.DataFrame({"ticker": list(self.tickers), "n": np.arange(len(self.tickers))})
        connection.register("panel_rows", rows)
        connection.register("panel_columns", columns)


@dataclass(frozen=True)
class ActionCounts:
    """What became of actions that do not lie on a bar of their ticker.

    Attributes
    ----------
    moved : ex-date is no session; moved to the next session
    without_bar : (ticker, session) pairs with an action and no bar; kept there, since the last close is carried
    """

    moved: int
    without_bar: int


def read_sessions(connection: duckdb.DuckDBPyConnection) -> Dates:
    """All sessions of the store, increasing."""
    return np.asarray(connection.execute("SELECT date FROM sessions ORDER BY 1").fetchnumpy()["date"], "datetime64[D]")


def read_bars(connection: duckdb.DuckDBPyConnection, axes: Axes) -> tuple[dict[str, Floats], int]:
    """Open, high, low, close and volume (T, N), NaN without a bar; and the number of bars on no session (left out)."""
    fields = ", ".join(f"b.{name}" for name in BAR_FIELDS)
    rows: dict[str, Any] = connection.execute(
        f"SELECT coalesce(t, -1) AS t, n, {fields} FROM bars b JOIN panel_columns USING (ticker) "
        "LEFT JOIN panel_rows USING (date) WHERE date BETWEEN ? AND ?",
        [str(axes.dates[0]), str(axes.dates[-1])],
    ).fetchnumpy()
    on_session = rows["t"] >= 0
    cell = rows["t"][on_session] * axes.shape[1] + rows["n"][on_session]
    arrays: dict[str, Floats] = {}
    for name in BAR_FIELDS:
        arrays[name] = np.full(axes.shape, np.nan)
        arrays[name].ravel()[cell] = rows[name][on_session]
    return arrays, int((~on_session).sum())


def read_actions(
    connection: duckdb.DuckDBPyConnection, axes: Axes, close: Floats
) -> tuple[Floats, Floats, ActionCounts]:
    """Split ratio and cash per OLD share, (T, N) each.

    The store holds cash per NEW share when a split falls on the same day: it is multiplied by the split. An ex-date
    that is no session moves to the next session; several of a ticker that meet there are chained in order of date, cash
    always in units of a share before the first of them.
    """
    before = axes.every[axes.every < axes.dates[0]]
    rows = connection.execute(
        "SELECT date, n, coalesce(product(value) FILTER (kind = 'split'), 1.0) AS split, "
        "coalesce(sum(value) FILTER (kind <> 'split'), 0.0) AS cash FROM actions JOIN panel_columns USING (ticker) "
        "WHERE date > ? AND date <= ? GROUP BY date, n ORDER BY date, n",
        [str(before[-1]) if before.size else "0001-01-01", str(axes.dates[-1])],
    ).fetchnumpy()
    days = np.asarray(rows["date"], dtype="datetime64[D]")
    row = np.searchsorted(axes.dates, days, side="left")
    split, dividend = np.ones(axes.shape), np.zeros(axes.shape)
    for t, n, ratio, cash in zip(row, rows["n"], rows["split"], rows["cash"], strict=True):
        split[t, n] *= ratio
        dividend[t, n] += split[t, n] * cash
    bare = ((split != 1.0) | (dividend != 0.0)) & np.isnan(close)
    return split, dividend, ActionCounts(int((axes.dates[row] != days).sum()), int(bare.sum()))


def read_series(connection: duckdb.DuckDBPyConnection, table: str, column: str, dates: Dates, side: str) -> Floats:
    """A series at sessions (T,): its last value before each session (side 'left') or up to it ('right'), else NaN."""
    query = f"SELECT date, {column} AS value FROM {table} WHERE {column} IS NOT NULL ORDER BY date"
    rows = connection.execute(query).fetchnumpy()
    known = np.asarray(rows["date"], dtype="datetime64[D]")
    last = np.searchsorted(known, dates, side="left" if side == "left" else "right")
    return np.concatenate([[np.nan], np.asarray(rows["value"], dtype=np.float64)])[last]
