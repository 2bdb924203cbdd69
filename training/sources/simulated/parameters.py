"""What a simulated market is made of: its size and signal, and the calibrated constants of its processes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Final

import numpy as np

from quant50.errors import ParameterError

BURN_IN: Final[int] = 320
"""Sessions simulated before the first one shown, so that volatilities and the signal's features have a past."""


@dataclass(frozen=True, kw_only=True)
class MarketParameters:
    """Size, seed and signal of a simulated market, and the constants of its processes.

    Standard deviations are per session and relative to the price; half-lives are in sessions. The constants were set so
    that the stylised facts of seeds 0 to 4 lie inside the bands of `training/stylised_bands.py`.

    Attributes
    ----------
    seed : the only source of randomness
    signal : rank IC of the true signal against the label of 5 sessions; 0 is the null market
    years, end : the sessions are those of the NYSE in the `years` calendar years up to and including `end`
    stocks : stocks that are ever listed
    index_share : members of the index as a fraction of `stocks`
    late_share, delisted_share, renamed_share : stocks listed late, delisted early and renamed, as fractions
    hole_rate : chance that a stock misses a session

    Raises
    ------
    ParameterError
        A value is outside its range.
    """

    seed: int = 0
    signal: float = 0.03
    years: int = 12
    end: date = date(2021, 12, 31)
    stocks: int = 320
    index_share: float = 0.91
    late_share: float = 0.06
    delisted_share: float = 0.06
    renamed_share: float = 0.04
    hole_rate: float = 0.0002
    # returns
    drift: float = 0.12
    market_deviation: float = 0.0085
    sector_deviation: float = 0.0042
    idiosyncratic_deviation: float = 0.0106
    overnight_share: float = 0.27
    market_freedom: float = 6.0
    overnight_freedom: float = 3.2
    intraday_freedom: float = 5.0
    earnings_multiple: float = 5.5
    closing_pressure: float = 0.055
    # volatility
    slow_volatility: float = 0.26
    slow_half_life: float = 90.0
    fast_volatility: float = 0.20
    fast_half_life: float = 8.0
    stress_multiple: float = 1.45
    stress_sessions: float = 50.0
    calm_sessions: float = 450.0
    own_volatility: float = 0.33
    own_half_life: float = 35.0
    common_share: float = 0.75
    leverage: float = 0.15
    leverage_half_life: float = 8.0
    reference_half_life: float = 10.0
    # range and volume
    range_multiple: float = 1.04
    volume_response: float = 0.225
    volume_noise: float = 0.19
    volume_own: float = 0.245
    volume_elasticity: float = 0.6
    volume_common: float = 0.14
    volume_half_life: float = 14.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not (np.isfinite(value) and value >= 0):
                raise ParameterError(f"simulated market: {field.name} must be zero or more, not {value}")
        if self.years < 1 or self.stocks < 22:
            raise ParameterError("simulated market: at least 1 year and 22 stocks (two in each sector) are needed")
        if self.signal > 0.2:
            raise ParameterError(f"simulated market: a signal of rank IC {self.signal} is beyond 0.2")
        if not 0 < self.index_share <= 1 or self.late_share + self.delisted_share > 0.5 or self.hole_rate > 0.1:
            raise ParameterError(
                "simulated market: index_share, late_share, delisted_share or hole_rate is out of range"
            )
        if min(self.market_freedom, self.overnight_freedom, self.intraday_freedom) <= 2:
            raise ParameterError("simulated market: shocks need more than 2 degrees of freedom")

    @property
    def description(self) -> str:
        """One line for every page made from this market."""
        return f"simulated market (seed {self.seed}, signal {self.signal:g})"


def stream(parameters: MarketParameters, name: str) -> np.random.Generator:
    """Random numbers of one part of the market; parts do not disturb each other, nor does the signal's strength.

    >>> stream(MarketParameters(seed=1), "volume").integers(9) == stream(MarketParameters(seed=1), "volume").integers(9)
    True
    """
    return np.random.default_rng([parameters.seed, *name.encode()])
