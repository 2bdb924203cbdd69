"""Volatility regimes and the shocks they scale.

Everything here is drawn before any price: a shock's scale depends on the sign of a market shock only after
`DELAY` sessions. Flipping the signs of all shocks of a label's span therefore changes no scale inside the span.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from training.sources.simulated.parameters import MarketParameters, stream

Floats = NDArray[np.float64]

DELAY: Final[int] = 6
"""Sessions after which the sign of a shock may move volatility: a label from open t+1 to open t+6 ends before."""

LARGEST_SHOCK: Final[float] = 12.0
"""Shocks are cut at this many standard deviations, on both sides alike."""


@dataclass(frozen=True)
class Shocks:
    """Symmetric shocks of N stocks on T sessions, relative to the reference price.

    Attributes
    ----------
    overnight, intraday : (T, N)
    deviation : (T, N) standard deviation of the intraday shock
    beta : (N,) loading on the market
    market_volatility : (T,) standard deviation of a session's market shock
    market_shock : (T, 2) overnight and intraday shock of the market itself
    earnings : (T, N) bool, an earnings report before the open
    """

    overnight: Floats
    intraday: Floats
    deviation: Floats
    beta: Floats
    market_volatility: Floats
    market_shock: Floats
    earnings: NDArray[np.bool_]


def autoregression(
    generator: np.random.Generator, shape: tuple[int, ...], half_life: float, deviation: float
) -> Floats:
    """Stationary Gaussian AR(1) paths along the first axis."""
    memory = 0.5 ** (1.0 / half_life)
    noise = generator.standard_normal(shape) * np.sqrt(1.0 - memory**2)
    noise[0] /= np.sqrt(1.0 - memory**2)
    return np.asarray(deviation * lfilter([1.0], [1.0, -memory], noise, axis=0))


def student(generator: np.random.Generator, shape: tuple[int, ...], freedom: float) -> Floats:
    """Student shocks scaled to unit variance (before the cut at `LARGEST_SHOCK`)."""
    shocks = generator.standard_t(freedom, shape) * np.sqrt((freedom - 2.0) / freedom)
    return np.asarray(np.clip(shocks, -LARGEST_SHOCK, LARGEST_SHOCK))


def stress(generator: np.random.Generator, sessions: int, calm: float, stressed: float) -> Floats:
    """Regime of each session, (sessions,): 1 in stress, 0 in calm; geometric spells of the given mean lengths."""
    path: list[Floats] = []
    state, filled = 0.0, 0
    while filled < sessions:
        length = int(generator.geometric(1.0 / (stressed if state else calm)))
        path.append(np.full(length, state))
        state, filled = 1.0 - state, filled + length
    return np.concatenate(path)[:sessions]


def shocks(parameters: MarketParameters, sessions: int, sector: NDArray[np.int8]) -> Shocks:
    """Overnight and intraday shocks of every stock, from market, sector and own parts."""
    p, stocks = parameters, len(sector)
    generator = stream(p, "market")
    market_normal = student(generator, (sessions, 2), p.market_freedom)
    share = np.sqrt([p.overnight_share, 1.0 - p.overnight_share])
    common = _common_volatility(p, sessions, market_normal @ share)
    market_volatility = p.market_deviation * np.exp(common)
    market = market_volatility[:, None] * share * market_normal

    generator = stream(p, "stocks")
    sector_beta = 1.0 + 0.35 * (generator.permutation(11) - 5.0) / 5.0
    beta = np.clip(sector_beta[sector] + 0.2 * generator.standard_normal(stocks), 0.35, 1.9)
    own_level = p.idiosyncratic_deviation * np.exp(0.30 * generator.standard_normal(stocks)) * beta**0.5
    own_volatility = own_level * np.exp(
        p.common_share * common[:, None]
        + autoregression(stream(p, "own volatility"), (sessions, stocks), p.own_half_life, p.own_volatility)
    )
    sector_volatility = p.sector_deviation * np.exp(
        p.common_share * common[:, None]
        + autoregression(stream(p, "sector volatility"), (sessions, 11), p.own_half_life, p.own_volatility)
    )
    report = (np.arange(sessions)[:, None] + generator.integers(63, size=stocks)) % 63 == 0

    parts = []
    for column, (name, freedom) in enumerate((("overnight", p.overnight_freedom), ("intraday", p.intraday_freedom))):
        generator = stream(p, name)
        sectors = share[column] * sector_volatility * student(generator, (sessions, 11), freedom)
        own = share[column] * own_volatility * student(generator, (sessions, stocks), freedom)
        if name == "overnight":
            own *= np.where(report, p.earnings_multiple, 1.0)
        parts.append(market[:, column, None] * beta + sectors[:, sector] + own)
    variance = (market_volatility[:, None] * beta) ** 2 + sector_volatility[:, sector] ** 2 + own_volatility**2
    deviation = share[1] * np.sqrt(variance)
    return Shocks(parts[0], parts[1], deviation, beta, market_volatility, market, report)


def _common_volatility(p: MarketParameters, sessions: int, standard_shock: Floats) -> Floats:
    """Log volatility of the market around 0, (sessions,): slow, fast, stress, and the delayed leverage effect."""
    generator = stream(p, "volatility")
    level = autoregression(generator, (sessions,), p.slow_half_life, p.slow_volatility)
    level += autoregression(generator, (sessions,), p.fast_half_life, p.fast_volatility)
    level += np.log(p.stress_multiple) * stress(generator, sessions, p.calm_sessions, p.stress_sessions)
    memory = 0.5 ** (1.0 / p.leverage_half_life)
    fear = lfilter([1.0], [1.0, -memory], np.clip(standard_shock, -4.0, 4.0))
    level[DELAY:] -= p.leverage * np.asarray(fear)[:-DELAY]
    return level
