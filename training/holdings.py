"""The index holdings files of a store as arrays: weights, sectors and members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from quant50.groups import ETF_GROUPS, UNKNOWN_SECTOR, sector_code
from quant50.panel import Bools, Floats, Ints
from quant50.universe import select

Dates = NDArray[np.datetime64]

FORMER_SECTORS: Final[dict[str, str]] = {"Telecommunication Services": "Communication Services"}
"""GICS sectors renamed (and widened) in September 2018."""


@dataclass(frozen=True)
class FileCoverage:
    """How much of one holdings file can be traded here.

    Attributes
    ----------
    date : of the file
    lines, weight : lines of the file and their weight (fraction)
    lines_with_bars, weight_with_bars : those whose bars have begun by the file's first session in force and not ended
        before the file's date
    """

    date: np.datetime64
    lines: int
    weight: float
    lines_with_bars: int
    weight_with_bars: float


@dataclass(frozen=True)
class Holdings:
    """The holdings files that come into force, F files × n stocks.

    Attributes
    ----------
    dates : (F,) file dates, increasing
    tickers : n tickers, sorted, no ETFs
    weights : (F, n) index weight (fraction), NaN where the file does not name the ticker
    has_bars : (F, n) named, and its bars have begun and not ended (see `FileCoverage`)
    sectors : (F, n) int8, sector code of the latest file up to this one that gives the ticker's sector
    coverage : F records
    """

    dates: Dates
    tickers: tuple[str, ...]
    weights: Floats
    has_bars: Bools
    sectors: NDArray[np.int8]
    coverage: tuple[FileCoverage, ...]

    @classmethod
    def read(
        cls,
        connection: duckdb.DuckDBPyConnection,
        first_bar: dict[str, np.datetime64],
        last_bar: dict[str, np.datetime64],
        sessions: Dates,
    ) -> Holdings:
        """All files before the last of `sessions`.

        Parameters
        ----------
        connection : to a store
        first_bar, last_bar : dates of each ticker's first and last bar; tickers without bars are absent
        sessions : all sessions of the store
        """
        columns = connection.execute(
            "SELECT date, ticker, coalesce(sector, '') AS sector, weight FROM index_holdings "
            "WHERE date < ? ORDER BY ALL",
            [str(sessions[-1])],
        ).fetch_df()
        columns = columns[~columns["ticker"].isin(list(ETF_GROUPS))]
        dates, file = np.unique(columns["date"].to_numpy().astype("datetime64[D]"), return_inverse=True)
        named = columns["ticker"].notna().to_numpy()
        tickers = tuple(sorted(set(columns.loc[named, "ticker"])))
        position = {ticker: j for j, ticker in enumerate(tickers)}
        cell = (file[named], np.array([position[ticker] for ticker in columns.loc[named, "ticker"]], dtype=np.int64))

        weights = np.full((len(dates), len(tickers)), np.nan)
        weights[cell] = columns.loc[named, "weight"]
        sectors = np.full(weights.shape, -1, dtype=np.int8)
        sectors[cell] = [_code(name) for name in columns.loc[named, "sector"]]
        begun = np.array([first_bar.get(ticker, np.datetime64("9999-12-31")) for ticker in tickers], dtype=dates.dtype)
        ended = np.array([last_bar.get(ticker, np.datetime64("0001-01-01")) for ticker in tickers], dtype=dates.dtype)
        in_force = sessions[np.searchsorted(sessions, dates, side="right")]
        has_bars = np.isfinite(weights) & (begun <= in_force[:, None]) & (ended >= dates[:, None])

        total = np.bincount(file, weights=columns["weight"], minlength=len(dates))
        lines = np.bincount(file, minlength=len(dates))
        with_bars = np.where(has_bars, weights, 0.0).sum(axis=1)
        coverage = tuple(
            FileCoverage(dates[f], int(lines[f]), float(total[f]), int(has_bars[f].sum()), float(with_bars[f]))
            for f in range(len(dates))
        )
        return cls(dates, tickers, weights, has_bars, _carried_forward(sectors), coverage)

    def in_force(self, sessions: Dates) -> Ints:
        """Row of the last file before each session, −1 where there is none, (T,)."""
        return np.asarray(np.searchsorted(self.dates, sessions, side="left") - 1, dtype=np.int64)

    def members(self, candidates: int, keep_rank: int) -> Bools:
        """Members by `quant50.universe.select`, followed from the first file on, (F, n)."""
        member = np.zeros(self.weights.shape, dtype=bool)
        previous = np.zeros(len(self.tickers), dtype=bool)
        for row, weights in enumerate(np.where(self.has_bars, self.weights, np.nan)):
            previous = member[row] = select(weights, previous, candidates, keep_rank)
        return member

    def spread(self, values: Bools, sessions: Dates, tickers: tuple[str, ...]) -> Bools:
        """Values of the files (F, n) as values of sessions and tickers (T, N); False without a file."""
        return self._spread(values, self.in_force(sessions), tickers, False)

    def sector_of_week(self, sessions: Dates, every: Dates, tickers: tuple[str, ...]) -> NDArray[np.int8]:
        """Sector codes from the last file before the first session of each session's ISO week, (T, N).

        Parameters
        ----------
        sessions : (T,) of the panel
        every : all sessions of the store, so that a panel may begin in mid-week
        tickers : N columns; a sector fund has its own sector, any other ETF the unknown one
        """
        monday = sessions - (sessions.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
        first = every[np.searchsorted(every, monday, side="left")]
        sectors = self._spread(self.sectors, self.in_force(first), tickers, UNKNOWN_SECTOR)
        for column, ticker in enumerate(tickers):
            if ticker in ETF_GROUPS:
                sectors[:, column] = sector_code(ETF_GROUPS[ticker])
        return sectors

    def _spread(self, values: NDArray[Any], row: Ints, tickers: tuple[str, ...], default: int) -> NDArray[Any]:
        position = {ticker: j for j, ticker in enumerate(self.tickers)}
        known = np.array([ticker in position for ticker in tickers], dtype=bool)
        taken = np.array([position[ticker] for ticker in tickers if ticker in position], dtype=np.int64)
        spread = np.full((len(row), len(tickers)), default, dtype=values.dtype)
        covered = row >= 0
        spread[np.ix_(covered, known)] = values[row[covered]][:, taken]
        return spread


def _code(name: str) -> int:
    """Sector code, −1 where the file gives no sector, so that the one before is carried forward."""
    return sector_code(FORMER_SECTORS.get(name, name)) if name else -1


def _carried_forward(sectors: NDArray[np.int8]) -> NDArray[np.int8]:
    latest = np.full(sectors.shape[1], UNKNOWN_SECTOR, dtype=np.int8)
    carried = np.empty_like(sectors)
    for row, codes in enumerate(sectors):
        latest = np.where(codes >= 0, codes, latest)
        carried[row] = latest
    return carried
