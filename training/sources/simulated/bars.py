"""Bars: highs and lows around opens and closes, volumes that follow |r|, and funds made of their members."""

from __future__ import annotations

from typing import Final

import numpy as np

from quant50.groups import ETF_GROUPS, SECTORS
from training.sources.simulated.corporate import Bools, Company, Ints
from training.sources.simulated.parameters import MarketParameters, stream
from training.sources.simulated.volatility import Floats, autoregression, student

ETFS: Final[tuple[str, ...]] = tuple(sorted(ETF_GROUPS))

LATE_FUNDS: Final[dict[str, float]] = {"XLC": 0.71, "XLRE": 0.48}
"""Funds listed late, and after which fraction of the sessions."""

FUND_YIELD: Final[dict[str, float]] = {"GLD": 0.0, "IEF": 0.022, "LQD": 0.033, "TLT": 0.028, "QQQ": 0.008}
"""Dividend yields a year that differ from the 0.018 of the other funds."""


def range_of(
    opening: Floats, close: Floats, deviation: Floats, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """High and low of each session, (T, N): extremes of a Brownian bridge of log prices from open to close.

    The maximum of a bridge from a to b with variance s² is ½(a + b + √((b − a)² − 2 s² ln U)), U uniform.
    """
    a, b = np.log(opening), np.log(close)
    spread = [
        np.sqrt((b - a) ** 2 - 2.0 * deviation**2 * np.log(generator.uniform(1e-12, 1.0, a.shape))) for _ in range(2)
    ]
    return np.exp(0.5 * (a + b + spread[0])), np.exp(0.5 * (a + b - spread[1]))


def dollar_volumes(parameters: MarketParameters, moves: Floats, mood: Floats, capitalisation: Floats) -> Floats:
    """Dollar volume of each ticker and session, (T, N).

    Parameters
    ----------
    moves : (T, N) |return| over its usual size; mood : (T,) log volatility of the market around its mean
    capitalisation : (T, N) USD
    """
    p, generator = parameters, stream(parameters, "volume")
    shape = moves.shape
    start = capitalisation[0]
    log = (
        np.log(0.006 * start)
        + p.volume_elasticity * np.log(capitalisation / start)
        + 0.4 * generator.standard_normal(shape[1])
    )
    log += p.volume_own * autoregression(generator, shape, p.volume_half_life, 1.0)
    log += (
        p.volume_common * autoregression(generator, shape[:1], p.volume_half_life, 1.0)[:, None] + 0.16 * mood[:, None]
    )
    log += p.volume_response * np.minimum(moves, 8.0) + p.volume_noise * generator.standard_normal(shape)
    return np.asarray(np.exp(log))


def fund_weights(company: Company, capitalisation: Floats, members: Bools, listed: Bools) -> dict[str, Floats]:
    """Weights of the equity funds at each review, {ticker: (K, N)}, rows summing to 1."""
    cap = np.where(listed, capitalisation, 0.0)
    inside = np.where(members, cap, 0.0)
    chosen = {"SPY": inside}
    growth = np.isin(company.sector, [SECTORS.index(name) for name in SECTORS if name not in ("Financials", "Energy")])
    order = np.argsort(np.argsort(-np.where(growth, inside, 0.0), axis=1, kind="stable"), axis=1)
    chosen["QQQ"] = np.where((order < 100) & growth, inside, 0.0)
    small = np.argsort(np.argsort(-cap, axis=1, kind="stable"), axis=1) >= 0.6 * listed.sum(axis=1, keepdims=True)
    chosen["IWM"] = np.where(small, cap, 0.0)
    for ticker, group in ETF_GROUPS.items():
        if group in SECTORS:
            chosen[ticker] = np.where(company.sector == SECTORS.index(group), inside, 0.0)
    for ticker, group in ETF_GROUPS.items():
        # in a small market a sector may have no member for a while: its fund then holds the sector's listed stocks
        if group in SECTORS:
            own = np.where(company.sector == SECTORS.index(group), cap + 1e-9, 0.0)
            vacant = chosen[ticker].sum(axis=1, keepdims=True) == 0.0
            chosen[ticker] = np.where(vacant, own, chosen[ticker])
    return {ticker: value / value.sum(axis=1, keepdims=True) for ticker, value in chosen.items()}


def hold(weights: Floats, reviews: Ints, open_level: Floats, close_level: Floats) -> tuple[Floats, Floats]:
    """Total-return index of a fund bought at each review's close and held to the next, at open and close, (T,) each.

    Parameters
    ----------
    weights : (K, N); reviews : (K,) rows, ascending, the first 0; open_level, close_level : (T, N) of the members
    """
    sessions = len(close_level)
    opens, closes = np.ones(sessions), np.ones(sessions)
    value = 1.0
    for k, start in enumerate(reviews):
        stop = reviews[k + 1] if k + 1 < len(reviews) else sessions - 1
        units = value * weights[k] / close_level[start]
        opens[start + 1 : stop + 1] = open_level[start + 1 : stop + 1] @ units
        closes[start + 1 : stop + 1] = close_level[start + 1 : stop + 1] @ units
        value = float(closes[stop])
    return opens, closes


def bond_and_gold_levels(parameters: MarketParameters, market_shock: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Total-return indices of bonds and gold, {ticker: (open, close)}, (T,) each.

    One rates shock moves all bonds, against the market; credit goes with it a little; gold goes its own way.
    """
    generator = stream(parameters, "bonds")
    sessions = len(market_shock)
    share = np.sqrt([0.45, 0.55])
    calm = np.exp(autoregression(generator, (sessions, 1), 60.0, 0.25))
    rates, credit, metal = (calm * share * student(generator, (sessions, 2), 6.0) for _ in range(3))
    long_bond = 0.0080 * rates - 0.25 * market_shock
    moves = {
        "TLT": (0.035, long_bond),
        "IEF": (0.025, 0.45 * long_bond),
        "LQD": (0.035, 0.35 * long_bond + 0.15 * market_shock + 0.0025 * credit),
        "GLD": (0.030, 0.0095 * metal + 0.2 * long_bond),
    }
    levels = {}
    for ticker, (drift, shock) in moves.items():
        steps = 1.0 + drift / 504 + np.clip(shock, -0.2, 0.2)
        path = np.cumprod(steps.ravel()).reshape(steps.shape)
        levels[ticker] = (path[:, 0], path[:, 1])
    return levels
