"""Time and peak memory of each stage, beside peers: `python -m benchmarks`.

Here: what a stage is given and what it gives. Nothing heavy is imported, since a child's peak memory, as Linux counts
it, is never below that of the parent which started it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

RUNS = 3


class SkippedError(Exception):
    """The stage cannot run here; the message says why."""


@dataclass(frozen=True)
class Source:
    """Where the data are: Parquet folder or None (simulated market), its store, folder of recorded runs."""

    market: Path | None
    store: Path
    golden: Path

    @property
    def description(self) -> str:
        """What a row's `source` says."""
        return "simulated market" if self.market is None else "real market data"


@dataclass(frozen=True)
class Measured:
    """Seconds of a stage and of its peer, if it has one; a note on what they include."""

    seconds: float
    source: str
    peer: str = ""
    peer_seconds: float = float("nan")
    note: str = ""
    children_mb: float = 0.0

    def row(self, name: str, peak_mb: float) -> dict[str, Any]:
        """Entry of bench.json."""
        row: dict[str, Any] = {"name": name, "seconds": self.seconds, "peak_mb": peak_mb + self.children_mb}
        if self.peer:
            row |= {"peer": self.peer, "peer_seconds": self.peer_seconds, "ratio": self.peer_seconds / self.seconds}
        return row | {"source": self.source} | ({"note": self.note} if self.note else {})


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def typical(*works: Callable[[], object], runs: int = RUNS) -> tuple[float, ...]:
    """Median seconds of each work; they take turns, and a first round is thrown away."""
    rounds = [[timed(work) for work in works] for _ in range(runs + 1)][1:]
    return tuple(median(column) for column in zip(*rounds, strict=True))
