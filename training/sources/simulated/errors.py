"""Erroneous rows: what a vendor might send, and what the store must not let in."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from training.sources.simulated.market import SimulatedMarket
from training.sources.simulated.parameters import MarketParameters, stream

DUPLICATE: Final = "duplicate"
NOT_POSITIVE: Final = "non-positive price"
HIGH_BELOW_LOW: Final = "high below low"
CLOSE_OUTSIDE: Final = "close outside the range"
FUTURE: Final = "future date"
BAD_SPLIT: Final = "split ratio not positive"
OUTSIDE_LISTING: Final = "ex-date outside the listing"

Record = dict[str, Any]


def bad_bars(parameters: MarketParameters, market: SimulatedMarket) -> list[tuple[str, Record]]:
    """Kind and record of each erroneous bar.

    A duplicate repeats a good bar with another close, right after it. The others stand where the stock has no bar, so
    that no good row is lost with them.
    """
    generator = stream(parameters, "errors")
    present = np.isfinite(market.close[:, : market.stocks])
    holes = np.argwhere(~present & np.roll(present, 1, axis=0) & np.roll(present, -1, axis=0))
    holes = holes[(holes[:, 0] > 1) & (holes[:, 0] < len(present) - 1)]
    chosen = holes[generator.permutation(len(holes))[:8]]
    kinds = [NOT_POSITIVE] * 3 + [HIGH_BELOW_LOW] * 3 + [CLOSE_OUTSIDE] * 2
    found = []
    for kind, (row, column) in zip(kinds, chosen, strict=False):
        record = _bar(market, int(row) - 1, int(column))
        record["date"] = pd.Timestamp(market.dates[row])
        if kind == NOT_POSITIVE:
            record["low"] = record["close"] = -record["close"]
        elif kind == HIGH_BELOW_LOW:
            record["high"] = round(record["low"] - 0.05, 2)
        else:
            record["close"] = round(record["high"] + 1.0, 2)
        found.append((kind, record))
    full = np.argwhere(present)
    for row, column in full[generator.choice(len(full), 4, replace=False)]:
        record = _bar(market, int(row), int(column))
        record["close"] = record["low"]
        found.append((DUPLICATE, record))
    alive = np.flatnonzero(present[-1])
    record = _bar(market, len(present) - 1, int(generator.choice(alive)))
    record["date"] += pd.Timedelta(days=28)
    found.append((FUTURE, record))
    return found


def bad_actions(parameters: MarketParameters, market: SimulatedMarket) -> list[tuple[str, Record]]:
    """Kind and record of each erroneous action: splits with a ratio of 0 or less, dividends before the listing."""
    generator = stream(parameters, "bad actions")
    late = np.flatnonzero(market.company.first > 5)
    always = np.flatnonzero((market.company.first == 0) & (market.company.last == len(market.dates) - 1))
    found = []
    for value, column in zip((0.0, -2.0), generator.choice(always, 2, replace=False), strict=True):
        row = int(generator.integers(100, len(market.dates)))
        found.append((BAD_SPLIT, _action(market, row, int(column), "split", value)))
    for column in generator.permutation(late)[:2]:
        row = int(market.company.first[column]) - 4
        found.append((OUTSIDE_LISTING, _action(market, row, int(column), "dividend", 0.25)))
    return found


def _bar(market: SimulatedMarket, row: int, column: int) -> Record:
    names = ("open", "high", "low", "close")
    prices = {name: float(getattr(market, name)[row, column]) for name in names}
    day = {"ticker": market.tickers[column], "date": pd.Timestamp(market.dates[row])}
    return {**day, **prices, "volume": int(market.volume[row, column])}


def _action(market: SimulatedMarket, row: int, column: int, kind: str, value: float) -> Record:
    day = pd.Timestamp(market.dates[row])
    return {"ticker": market.tickers[column], "date": day, "kind": kind, "value": value, "note": "erroneous"}
