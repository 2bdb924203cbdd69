"""A simulated US equity market: deterministic by seed, offline, calibrated to real moments, with a known signal."""

from training.sources.simulated.parameters import MarketParameters
from training.sources.simulated.source import SimulatedSource

__all__ = ["MarketParameters", "SimulatedSource"]
