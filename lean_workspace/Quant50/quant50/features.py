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
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.groups import MARKET, SECTORS
from quant50.panel import HISTORY_SESSIONS, Bools, Floats, Ints, Panel, Returns, returns
from quant50.ranks import session_ranks
from quant50.rolling import (
    decayed_sum,
    deviation,
    fold,
    join_paths,
    market_model,
    price_path,
    relative_average,
    rolling_maximum,
    rolling_sum,
)  # fmt: skip

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

_GRID = 1.5 * 2.0**8  # ulp 2^-44


@dataclass(frozen=True)
class _Window:
    """Returns that end in the sessions to compute: (272 + sessions, columns) each, the market's perhaps one column."""

    total: Floats
    night_less_day: Floats
    dollar_volume: Floats
    market: Floats


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
        result[rows[0] : rows[-1] + 1] = _chunk(panel, returns, market, rows)

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
    return np.asarray(_chunk(panel, returns(panel), panel.column(MARKET), rows)[0])


def _chunk(panel: Panel, returns: Returns, market: int, rows: Ints) -> NDArray[np.float32]:
    """Features of adjoining sessions, (rows, N, F)."""
    here = slice(rows[0], rows[-1] + 1)
    member = panel.member[here] & ~panel.is_etf
    columns = np.flatnonzero(member.any(axis=0))
    member = member[:, columns]
    raw = np.full((len(FEATURE_NAMES), len(rows), len(columns)), np.nan)
    history = np.arange(rows[0] - HISTORY_SESSIONS + 2, rows[-1] + 1)[:, None]
    for start in range(0, len(columns), BLOCK_COLUMNS):
        block = slice(start, start + BLOCK_COLUMNS)
        _put(raw, (slice(None), block), _kernel(_window(returns, market, history, columns[block])))
    _windows_that_open_on_a_hole(panel, returns, market, rows, columns, member, raw)
    _put_relative_to_sector(raw, member, panel.sector[here][:, columns])
    result = np.full((len(rows), panel.close.shape[1], len(FEATURE_NAMES)), np.nan, dtype=np.float32)
    ranks = np.stack([session_ranks(values, member) for values in raw], axis=-1)
    result[:, columns] = ranks
    return result


def _window(returns: Returns, market: int, rows: Ints, columns: Ints) -> _Window:
    """Returns at rows × columns (broadcast together), on the grid."""
    market_columns = np.full_like(columns, market) if rows.shape[1] > 1 else np.array([market])
    return _Window(
        total=_on_grid(returns.total[rows, columns]),
        night_less_day=_on_grid(returns.overnight[rows, columns]) - _on_grid(returns.intraday[rows, columns]),
        dollar_volume=returns.dollar_volume[rows, columns],
        market=_on_grid(returns.total[rows, market_columns]),
    )


def _on_grid(values: Floats) -> Floats:
    return (values + _GRID) - _GRID


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
        window = _Window(
            total=np.where(seen[:-1], window.total, np.nan),
            night_less_day=np.where(seen[:-1], window.night_less_day, np.nan),
            dollar_volume=np.where(seen[1:], window.dollar_volume, np.nan),
            market=np.where(market_seen[:-1], window.market, np.nan),
        )
        _put(raw, (session, place), {name: array[0] for name, array in _kernel(window).items()})


def _put_relative_to_sector(raw: Floats, member: Bools, sector: NDArray[np.int8]) -> None:
    for name, source, sign in (("reversal_5", "return_5", -1.0), ("sector_momentum", "momentum_12_1", 1.0)):
        values = raw[FEATURE_NAMES.index(source)]
        known = member & np.isfinite(values)
        groups = len(SECTORS) + 1
        group = sector + groups * np.arange(len(values))[:, None]
        total = np.bincount(group[known], values[known], groups * len(values))
        count = np.bincount(group[known], minlength=groups * len(values))
        raw[FEATURE_NAMES.index(name)] = _on_grid(sign * (values - (total / np.maximum(count, 1))[group]))


def _kernel(window: _Window) -> dict[str, Floats]:
    """Raw features of the last rows of a window, (rows − 272, columns) each, but for those relative to the sector."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = _path_features(window.total) | _distribution_features(window) | _volume_features(window)
    rows = len(window.total) - HISTORY_SESSIONS + 2
    return {name: array[-rows:] for name, array in values.items()}


def _path_features(total: Floats) -> dict[str, Floats]:
    """Features of the path of the total-return index."""
    growth = 1.0 + total
    path = price_path(growth)
    week = fold(path, 5, join_paths)[0]
    month = fold(path, 21, join_paths)
    quarter = fold(month, 3, join_paths, 21)
    half = fold(quarter, 2, join_paths, 63)
    year, low, high = fold(half, 2, join_paths, 126)
    begun = np.logical_or.accumulate(np.isfinite(total), axis=0)
    count = HISTORY_SESSIONS - 1
    # Before the first bar the index stands still, so that the recursions start at the first bar.
    steady = np.where(begun, total, 0.0)
    gain, move = (decayed_sum(moves, count, 13 / 14) for moves in (np.maximum(steady, 0.0), np.abs(steady)))
    shrinkage = 1.0 / np.where(begun, growth, 1.0)
    fast, slow = (relative_average(shrinkage, count, sessions) for sessions in (12, 26))
    rows = len(gain)
    since_first = {lag: total[len(total) - rows - lag + 1 : len(total) - lag + 1] for lag in (14, 26)}
    return {
        "return_1": total,
        "return_5": _on_grid(week - 1.0),
        "return_21": _on_grid(month[0] - 1.0),
        "return_63": _on_grid(quarter[0] - 1.0),
        "return_126": _on_grid(half[0] - 1.0),
        "return_252": _on_grid(year - 1.0),
        "momentum_12_1": _on_grid(year[-rows:] / month[0][-rows:] - 1.0),
        "relative_strength_14": np.where(np.isnan(since_first[14]), np.nan, np.where(move > 0, gain / move, 0.5)),
        "macd": np.where(np.isnan(since_first[26]), np.nan, _on_grid(fast - slow)),
        "distance_high_252": _on_grid(low - 1.0),
        "distance_low_252": _on_grid(high - 1.0),
    }


def _distribution_features(window: _Window) -> dict[str, Floats]:
    """Features of the distribution of daily returns and of the market model."""
    total, market = window.total, window.market
    square = total * total
    sums = {5: rolling_sum(total, 5), 21: rolling_sum(total, 21)}
    squares = {5: rolling_sum(square, 5), 21: rolling_sum(square, 21)}
    for known in (sums, squares):
        known[63] = rolling_sum(known[21], 3, 21)
    volatility = {count: deviation(sums[count], squares[count], count) for count in (5, 21, 63)}
    mean = sums[63] / 63
    variance = np.maximum(squares[63] / 63 - mean * mean, 0.0)
    third = rolling_sum(square * total, 63) / 63 - 3.0 * mean * squares[63] / 63 + 2.0 * mean * mean * mean
    loss = np.minimum(total, 0.0)
    beta, residual = market_model(total, market, 252)
    rows = len(beta)
    past, market_past = (rolling_sum(rolling_sum(x, 21), 11, 21)[-rows - 21 : -21] for x in (total, market))
    return {
        "volatility_5": volatility[5],
        "volatility_21": volatility[21],
        "volatility_63": volatility[63],
        "volatility_ratio": volatility[5][-rows:] / volatility[63][-rows:],
        "downside_volatility_63": np.sqrt(rolling_sum(loss * loss, 63) / 63),
        "skewness_63": third / (variance * np.sqrt(variance)),
        "beta_252": beta,
        "residual_volatility_252": residual,
        "residual_momentum": (past - beta * market_past) / residual,
        "maximum_return_21": rolling_maximum(total, 21),
    }


def _volume_features(window: _Window) -> dict[str, Floats]:
    """Features of trading volume and of the hours of trading."""
    dollars = window.dollar_volume
    traded = np.where(np.isnan(dollars), np.nan, dollars > 0)
    impact = np.where(dollars > 0, np.abs(window.total) / dollars, 0.0 * dollars)
    month = rolling_sum(dollars, 21)
    half = rolling_sum(month, 6, 21)
    return {
        "illiquidity_21": rolling_sum(impact, 21) / rolling_sum(traded, 21),
        "dollar_volume_21": month / 21,
        "dollar_volume_change": (month[-len(half) :] / half) * 6.0,
        "overnight_less_intraday_21": rolling_sum(window.night_less_day, 21),
    }
