"""Fixtures shared by all rooms: where the real market data and the recorded engine runs lie, if they do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]

settings.register_profile("default", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Folder of the real market data; the test is skipped where there is none."""
    folder = Path(os.environ.get("QUANT50_MARKET_DATA", REPOSITORY.parent / "shared" / "data" / "market"))
    if not (folder / "bars.parquet").exists():
        pytest.skip("no real market data: set QUANT50_MARKET_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def lean_golden() -> Path:
    """Folder of all recorded LEAN runs; the test is skipped where there is none."""
    folder = Path(os.environ.get("QUANT50_LEAN_GOLDEN", REPOSITORY.parent / "shared" / "lean-golden"))
    if not (folder / "README.md").exists():
        pytest.skip("no recorded LEAN runs: set QUANT50_LEAN_GOLDEN to their folder")
    return folder
