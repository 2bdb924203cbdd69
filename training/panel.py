"""From the market store to the panel: sessions × tickers, with what was known before each session."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np

from quant50.errors import DataError
from quant50.groups import ETF_GROUPS, MARKET
from quant50.panel import Bools, Floats, Ints, Panel
from quant50.parameters import Parameters
from training.holdings import FileCoverage, Holdings
from training.store.arrays import ActionCounts, Axes, Dates, read_actions, read_bars, read_series, read_sessions
from training.store.reader import connected, metadata


@dataclass(frozen=True)
class Coverage:
    """What the panel could not take from the store as it was, counted.

    Attributes
    ----------
    files : one record for each holdings file in force in the panel's span, oldest first
    constituents_without_bars : tickers these files name that have no bar in the span, so no column
    bars_off_calendar : bars of the panel's tickers on a day that is no NYSE session, left out
    actions : actions that do not lie on a bar
    """

    files: tuple[FileCoverage, ...]
    constituents_without_bars: tuple[str, ...]
    bars_off_calendar: int
    actions: ActionCounts


@dataclass(frozen=True)
class Market:
    """A panel and what goes with it.

    Attributes
    ----------
    panel : the panel; columns are all stocks ever member or constituent in its span, and the strategy's ETFs
    names : (N,) company or fund names
    last_session : (N,) int64, row of the last bar of a ticker delisted before the store ends, −1 otherwise
    rates : (T,) 3-month T-bill yield (percent, discount basis) of the last day BEFORE the session, NaN before the first
    vix_close : (T,) close of the VIX at the session, the last one known where it has none, NaN before the first
    simulated : whether the market is invented
    description : one line for the reports
    data_hash : SHA-256 of the store's content hash, the span and the universe's parameters
    coverage : what is missing, counted
    """

    panel: Panel
    names: tuple[str, ...]
    last_session: Ints
    rates: Floats
    vix_close: Floats
    simulated: bool
    description: str
    data_hash: str
    coverage: Coverage


def load_panel(store: Path, start: date | None, end: date | None, parameters: Parameters) -> Market:
    """Build the panel of the sessions from start to end (None = as far as the store reaches).

    Sessions are those of the NYSE calendar. Membership is followed from the store's first holdings file, so it does not
    depend on `start`. A member ceases to be one after its last bar; a constituent is one until a later file says so.

    Raises
    ------
    DataError
        No complete store there, no session in the range, or the market ticker (SPY) has no bars.
    """
    if start is not None and end is not None and start > end:
        raise DataError(f"the range {start} to {end} is empty: give a start that is not after the end")
    facts = metadata(store)
    with connected(store) as connection:
        every = read_sessions(connection)
        dates = _within(every, start, end)
        lifetimes = _Lifetimes.read(connection)
        holdings = Holdings.read(connection, lifetimes.first, lifetimes.last, every)
        tickers, absent = _columns(holdings, lifetimes, dates)
        axes = Axes(dates, tickers, every)
        axes.register(connection)
        bars, off_calendar = read_bars(connection, axes)
        split, dividend, actions = read_actions(connection, axes, bars["close"])
        rates = read_series(connection, "rates", "dtb3", dates, side="left")
        vix_close = read_series(connection, "vix", "close", dates, side="right")
    last_session = _last_sessions(lifetimes, axes, bars["close"])
    gone = np.arange(len(dates))[:, None] > np.where(last_session >= 0, last_session, len(dates))
    member = holdings.members(parameters.candidates, parameters.keep_rank)
    panel = Panel(
        dates=dates,
        tickers=tickers,
        split=split,
        dividend=dividend,
        member=holdings.spread(member, dates, tickers) & ~gone,
        constituent=holdings.spread(np.isfinite(holdings.weights), dates, tickers),
        sector=holdings.sector_of_week(dates, every, tickers),
        is_etf=np.array([ticker in ETF_GROUPS for ticker in tickers]),
        **bars,
    )
    made_of = f"{facts.content_hash} {dates[0]} {dates[-1]} {parameters.candidates} {parameters.keep_rank}"
    return Market(
        panel=panel,
        names=tuple(lifetimes.names[ticker] for ticker in tickers),
        last_session=last_session,
        rates=rates,
        vix_close=vix_close,
        simulated=facts.simulated,
        description=facts.description,
        data_hash=hashlib.sha256(made_of.encode()).hexdigest(),
        coverage=Coverage(tuple(holdings.coverage[f] for f in _files(holdings, dates)), absent, off_calendar, actions),
    )


@dataclass(frozen=True)
class _Lifetimes:
    """First and last bar of each ticker in the store, its name, and whether it is delisted before the store ends."""

    first: dict[str, np.datetime64]
    last: dict[str, np.datetime64]
    names: dict[str, str]
    delisted: frozenset[str]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection) -> _Lifetimes:
        rows = connection.execute(
            "SELECT ticker, first_bar, last_bar, coalesce(name, ticker), "
            "coalesce(last_date, last_bar) < (SELECT max(date) FROM sessions) "
            "FROM (SELECT ticker, min(date) AS first_bar, max(date) AS last_bar FROM bars GROUP BY ticker) "
            "LEFT JOIN assets USING (ticker)"
        ).fetchall()
        return cls(
            {row[0]: np.datetime64(row[1], "D") for row in rows},
            {row[0]: np.datetime64(row[2], "D") for row in rows},
            {row[0]: row[3] for row in rows},
            frozenset(row[0] for row in rows if row[4]),
        )


def _within(sessions: Dates, start: date | None, end: date | None) -> Dates:
    """Sessions of the range; DataError if there are none."""
    first = sessions[0] if start is None else np.datetime64(start, "D")
    last = sessions[-1] if end is None else np.datetime64(end, "D")
    dates = sessions[(sessions >= first) & (sessions <= last)]
    if not dates.size:
        raise DataError(
            f"no session from {first} to {last}: the store holds {sessions[0]} to {sessions[-1]}, choose from it"
        )
    return dates


def _files(holdings: Holdings, dates: Dates) -> list[int]:
    """Rows of the holdings files in force on some of the dates."""
    return [int(row) for row in np.unique(holdings.in_force(dates)) if row >= 0]


def _columns(holdings: Holdings, lifetimes: _Lifetimes, dates: Dates) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tickers of the panel, sorted, and constituents that have no bar in its span; members are constituents."""
    named = np.isfinite(holdings.weights[_files(holdings, dates)]).any(axis=0)
    stocks = {ticker for ticker, is_named in zip(holdings.tickers, named, strict=True) if is_named}
    trading = {t for t in lifetimes.first if lifetimes.first[t] <= dates[-1] and lifetimes.last[t] >= dates[0]}
    if MARKET not in trading:
        raise DataError(
            f"{MARKET} has no bars from {dates[0]} to {dates[-1]}: the benchmark is needed, ingest its bars"
        )
    return tuple(sorted((stocks | set(ETF_GROUPS)) & trading)), tuple(sorted(stocks - trading))


def _last_sessions(lifetimes: _Lifetimes, axes: Axes, close: Floats) -> Ints:
    """Row of the last bar of each ticker delisted by the panel's end, −1 for the others, (N,)."""
    traded: Bools = np.isfinite(close)
    last_row = len(close) - 1 - np.argmax(traded[::-1], axis=0)
    ended = [t in lifetimes.delisted and lifetimes.last[t] <= axes.dates[-1] for t in axes.tickers]
    return np.asarray(np.where(ended & traded.any(axis=0), last_row, -1), dtype=np.int64)
