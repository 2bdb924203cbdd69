"""Features of a session: what the last 274 sessions say of each member stock, ranked within the session.

One kernel serves a whole panel and a single session, and their results are equal to the bit: every window is reduced
along a tree of its own (`quant50.rolling`), and a window that opens on a hole is computed alone, as the one-session
version sees it.

Conventions
-----------
- Returns are total returns, put on a grid of 2^-44 (6e-14) before anything else: a price that comes back to its level
  returns exactly 0, and the last bits of a split-adjusted price change no feature.
- A feature is NaN unless every return in its window is known: the ticker has a bar in the 274 sessions before the
  window's first return. RSI and MACD start at the ticker's first bar of the 274 sessions and need 14 and 26 returns.
  A session without a trade counts as a return of 0.
- The logarithm of a quantity that is only ranked is not taken: it would change no rank.
- Market is SPY. A sector's mean is over the session's member stocks of the sector.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.feature_kernels import Window, features_of_windows, on_grid
from quant50.groups import MARKET, SECTORS
from quant50.panel import HISTORY_SESSIONS, Bools, Floats, Ints, Panel, Returns, returns
from quant50.ranks import session_ranks

FEATURE_NAMES: Final[tuple[str, ...]] = (
    "return_1",  # total return over 1, 5, … sessions
    "return_5",
    "return_21",
    "return_63",
    "return_126",
    "return_252",
    "momentum_12_1",  # total return from t−252 to t−21
    "reversal_5",  # minus the 5-session return, relative to the sector's mean
    "volatility_5",  # standard deviation (ddof 1) of returns
    "volatility_21",
    "volatility_63",
    "volatility_ratio",  # volatility over 5 sessions / over 63
    "downside_volatility_63",  # sqrt of the mean of min(r, 0)²
    "relative_strength_14",  # Wilder's RSI(14), between 0 and 1
    "macd",  # (12-session − 26-session exponential average of the total-return index) / index
    "distance_high_252",  # index / highest close of 252 sessions − 1
    "distance_low_252",  # index / lowest close of 252 sessions − 1
    "beta_252",  # slope on the market
    "residual_volatility_252",  # of that regression
    "residual_momentum",  # Σ (r − β m) from t−252 to t−21 / residual volatility (Blitz, Huij and Martens, 2011)
    "illiquidity_21",  # Amihud (2002): mean of |r| / dollar volume over sessions with a trade
    "dollar_volume_21",  # mean
    "dollar_volume_change",  # mean over 21 sessions / over 126
    "overnight_less_intraday_21",  # Σ (overnight − intraday return)
    "maximum_return_21",
    "skewness_63",  # third central moment / variance^1.5
    "sector_momentum",  # momentum_12_1 less the sector's mean
)
"""Names of the features, in the order of the last axis."""

BLOCK_COLUMNS = 24
"""Columns computed together: an array of a block fits a core's second-level cache."""

CHUNK_SESSIONS = 768
"""Sessions computed together: enough to outweigh the 273 sessions of history that each chunk reads again."""

WRITE_SESSIONS = 32
"""Sessions ranked and written together, small enough to stay in cache between the two."""


def panel_features(panel: Panel, returns: Returns, threads: int = 2) -> NDArray[np.float32]:
    """Features of every session of a panel.

    Parameters
    ----------
    panel : T sessions × N tickers, with the market's column
    returns : of the same panel
    threads : workers; the result does not depend on it

    Returns
    -------
    (T, N, F) float32
        In [−0.5, 0.5]; NaN for non-members, ETFs, what cannot be computed, and the first 273 sessions.

    Raises
    ------
    DataError
        The market's column is missing, or the returns are of another panel.
    """
    sessions, columns = panel.close.shape
    if returns.total.shape != panel.close.shape:
        raise DataError(f"features: returns are {returns.total.shape}, the panel is {panel.close.shape}")
    market = panel.column(MARKET)
    result = np.empty((sessions, columns, len(FEATURE_NAMES)), dtype=np.float32)
    result[: HISTORY_SESSIONS - 1] = np.nan

    def compute(start: int) -> None:
        rows = np.arange(start, min(start + CHUNK_SESSIONS, sessions))
        _fill(result[rows[0] : rows[-1] + 1], panel, returns, market, rows)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(compute, range(HISTORY_SESSIONS - 1, sessions, CHUNK_SESSIONS)))
    return result


def session_features(panel: Panel) -> NDArray[np.float32]:
    """Features of the last session of a window of 274 sessions, (N, F) float32; as `panel_features`.

    Raises
    ------
    DataError
        The window has another length, or lacks the market's column.
    """
    if len(panel.dates) != HISTORY_SESSIONS:
        raise DataError(f"features: a window of {HISTORY_SESSIONS} sessions is needed, not {len(panel.dates)}")
    rows = np.array([HISTORY_SESSIONS - 1])
    result = np.empty((1, len(panel.tickers), len(FEATURE_NAMES)), dtype=np.float32)
    _fill(result, panel, returns(panel), panel.column(MARKET), rows)
    return np.asarray(result[0])


def _fill(result: NDArray[np.float32], panel: Panel, returns: Returns, market: int, rows: Ints) -> None:
    """Write the features of adjoining sessions into `result`, (rows, N, F)."""
    columns, raw = raw_features(panel, returns, market, rows)
    member = panel.member[rows][:, columns]
    for start in range(0, len(rows), WRITE_SESSIONS):
        part = slice(start, start + WRITE_SESSIONS)
        ranks = np.array([session_ranks(values[part], member[part]) for values in raw])
        result[part] = np.nan
        result[part, columns] = np.moveaxis(ranks, 0, -1)


def raw_features(panel: Panel, returns: Returns, market: int, rows: Ints) -> tuple[Ints, Floats]:
    """Features before rounding and ranking.

    Parameters
    ----------
    panel, returns : T sessions × N tickers
    market : column of the market
    rows : adjoining sessions, 273 at the earliest

    Returns
    -------
    columns : (n,) stocks that are members in any of the sessions
    raw : (F, rows, n); NaN where unknown
    """
    columns = np.flatnonzero(panel.member[rows].any(axis=0) & ~panel.is_etf)
    member = panel.member[rows][:, columns]
    raw = np.full((len(FEATURE_NAMES), len(rows), len(columns)), np.nan)
    history = np.arange(rows[0] - HISTORY_SESSIONS + 2, rows[-1] + 1)[:, None]
    for start in range(0, len(columns), BLOCK_COLUMNS):
        block = slice(start, start + BLOCK_COLUMNS)
        _put(raw, (slice(None), block), features_of_windows(_window(returns, market, history, columns[block])))
    _windows_that_open_on_a_hole(panel, returns, market, rows, columns, member, raw)
    _put_relative_to_sector(raw, member, panel.sector[rows][:, columns])
    return columns, raw


def _window(returns: Returns, market: int, rows: Ints, columns: Ints) -> Window:
    """Returns at rows × columns (broadcast together), on the grid."""
    market_columns = np.full_like(columns, market) if rows.shape[1] > 1 else np.array([market])
    return Window(
        total=on_grid(returns.total[rows, columns]),
        night_less_day=on_grid(returns.overnight[rows, columns]) - on_grid(returns.intraday[rows, columns]),
        dollar_volume=returns.dollar_volume[rows, columns],
        market=on_grid(returns.total[rows, market_columns]),
    )


def _put(raw: Floats, index: tuple[slice | Ints, slice | Ints], values: dict[str, Floats]) -> None:
    for name, array in values.items():
        raw[FEATURE_NAMES.index(name)][index] = array


def _windows_that_open_on_a_hole(
    panel: Panel, returns: Returns, market: int, rows: Ints, columns: Ints, member: Bools, raw: Floats
) -> None:
    """Recompute the windows whose first session has no bar though an earlier one has.

    The panel knows a return for the first bar inside such a window; the window alone does not, and must not.
    """
    first = rows - HISTORY_SESSIONS + 1
    hole = np.isnan(panel.close[first]) & np.isfinite(returns.close[first])
    sessions, places = np.nonzero(member & (hole[:, columns] | hole[:, [market]]))
    for start in range(0, len(sessions), BLOCK_COLUMNS):
        session, place = sessions[start : start + BLOCK_COLUMNS], places[start : start + BLOCK_COLUMNS]
        bars = first[session] + np.arange(HISTORY_SESSIONS)[:, None]
        seen, market_seen = (
            np.logical_or.accumulate(np.isfinite(panel.close[bars, column]), axis=0)
            for column in (columns[place], np.full_like(place, market))
        )
        window = _window(returns, market, bars[1:], columns[place])
        window = Window(
            total=np.where(seen[:-1], window.total, np.nan),
            night_less_day=np.where(seen[:-1], window.night_less_day, np.nan),
            dollar_volume=np.where(seen[1:], window.dollar_volume, np.nan),
            market=np.where(market_seen[:-1], window.market, np.nan),
        )
        _put(raw, (session, place), {name: array[0] for name, array in features_of_windows(window).items()})


def _put_relative_to_sector(raw: Floats, member: Bools, sector: NDArray[np.int8]) -> None:
    for name, source, sign in (("reversal_5", "return_5", -1.0), ("sector_momentum", "momentum_12_1", 1.0)):
        values = raw[FEATURE_NAMES.index(source)]
        known = member & np.isfinite(values)
        groups = len(SECTORS) + 1
        group = sector + groups * np.arange(len(values))[:, None]
        total = np.bincount(group[known], values[known], groups * len(values))
        count = np.bincount(group[known], minlength=groups * len(values))
        raw[FEATURE_NAMES.index(name)] = on_grid(sign * (values - (total / np.maximum(count, 1))[group]))
