"""Time-series kernels of the features: from returns up to a session to raw values, column by column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant50.panel import HISTORY_SESSIONS, Floats
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
)

_GRID = 1.5 * 2.0**8  # the last bit of a number of this size is 2^-44


@dataclass(frozen=True)
class Window:
    """Returns that end in the sessions to compute: (272 + sessions, columns) each, the market's perhaps one column."""

    total: Floats
    night_less_day: Floats
    dollar_volume: Floats
    market: Floats


def on_grid(values: Floats) -> Floats:
    """Values rounded to a multiple of 2^-44 (6e-14), exactly so below 128 in size.

    >>> bool(on_grid(np.array([0.3 - 0.1 - 0.2]))[0] == 0.0)
    True
    """
    return (values + _GRID) - _GRID


def features_of_windows(window: Window) -> dict[str, Floats]:
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
        "return_5": on_grid(week - 1.0),
        "return_21": on_grid(month[0] - 1.0),
        "return_63": on_grid(quarter[0] - 1.0),
        "return_126": on_grid(half[0] - 1.0),
        "return_252": on_grid(year - 1.0),
        "momentum_12_1": on_grid(year[-rows:] / month[0][-rows:] - 1.0),
        "relative_strength_14": np.where(np.isnan(since_first[14]), np.nan, np.where(move > 0, gain / move, 0.5)),
        "macd": np.where(np.isnan(since_first[26]), np.nan, on_grid(fast - slow)),
        "distance_high_252": on_grid(low - 1.0),
        "distance_low_252": on_grid(high - 1.0),
    }


def _distribution_features(window: Window) -> dict[str, Floats]:
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


def _volume_features(window: Window) -> dict[str, Floats]:
    """Features of trading volume and of the hours of trading."""
    dollars = window.dollar_volume
    traded = np.where(np.isnan(dollars), np.nan, dollars > 0)
    impact = np.where(dollars > 0, np.abs(window.total) / dollars, 0.0)
    month = rolling_sum(dollars, 21)
    half = rolling_sum(month, 6, 21)
    return {
        "illiquidity_21": rolling_sum(impact, 21) / rolling_sum(traded, 21),
        "dollar_volume_21": month / 21,
        "dollar_volume_change": (month[-len(half) :] / half) * 6.0,
        "overnight_less_intraday_21": rolling_sum(window.night_less_day, 21),
    }
