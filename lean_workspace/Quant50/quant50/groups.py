"""GICS sectors, the fixed ETFs and the groups their caps refer to."""

from __future__ import annotations

from typing import Final

SECTORS: Final[tuple[str, ...]] = (
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
)
"""The eleven GICS sectors; a sector code is an index into this tuple."""

UNKNOWN_SECTOR: Final[int] = len(SECTORS)
"""Sector code of a stock whose sector is not known; a group of its own."""

ETF_GROUPS: Final[dict[str, str]] = {
    "GLD": "gold",
    "IEF": "bonds",
    "IWM": "broad equity",
    "LQD": "bonds",
    "QQQ": "broad equity",
    "SPY": "broad equity",
    "TLT": "bonds",
    "XLB": "Materials",
    "XLC": "Communication Services",
    "XLE": "Energy",
    "XLF": "Financials",
    "XLI": "Industrials",
    "XLK": "Information Technology",
    "XLP": "Consumer Staples",
    "XLRE": "Real Estate",
    "XLU": "Utilities",
    "XLV": "Health Care",
    "XLY": "Consumer Discretionary",
}
"""Each ETF of the strategy and the group its cap counts to."""

GROUPS: Final[tuple[str, ...]] = (*SECTORS, "Unknown", "broad equity", "bonds", "gold")
"""Every group with a cap; a group code is an index into this tuple, and a sector code is its own group code."""

MARKET: Final[str] = "SPY"
"""The ticker that stands for the market: benchmark, beta and excess labels."""


def sector_code(name: str | None) -> int:
    """Code of a GICS sector name; `UNKNOWN_SECTOR` for anything else.

    >>> sector_code("Energy")
    3
    >>> sector_code(None) == UNKNOWN_SECTOR
    True
    """
    return SECTORS.index(name) if name in SECTORS else UNKNOWN_SECTOR
