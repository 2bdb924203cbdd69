"""Everything a walk-forward needs of a market: panel, returns, features and labels, made once."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.features import FEATURE_NAMES, panel_features
from quant50.panel import Floats, Returns, returns
from quant50.parameters import Parameters
from training.labels import Labels, labels
from training.panel import Market, load_panel
from training.training_set import TrainingSet


def git_commit() -> str:
    """Commit of the project's code, 'unknown' outside a git checkout; '+' where files were changed since."""
    root = Path(__file__).resolve().parents[1]
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


@dataclass(frozen=True)
class Prepared:
    """A market with what is computed from it alone.

    Attributes
    ----------
    market : panel and what goes with it
    returns : (T, N) each
    features : (T, N, F) float32, NaN for non-members
    labels : (T, N) excess returns and the rows at which their spans end
    seconds : wall time of each stage, for timings.json only
    """

    market: Market
    returns: Returns
    features: NDArray[np.float32]
    labels: Labels
    seconds: dict[str, float]

    @classmethod
    def load(cls, store: Path, parameters: Parameters) -> Prepared:
        """Read the whole store, since features and training reach back years before the first decision."""
        seconds: dict[str, float] = {}
        begun = time.perf_counter()

        def lap(stage: str) -> None:
            nonlocal begun
            seconds[stage], begun = time.perf_counter() - begun, time.perf_counter()

        market = load_panel(store, None, None, parameters)
        lap("panel")
        moves = returns(market.panel)
        lap("returns")
        features = panel_features(market.panel, moves)
        lap("features")
        known = labels(market.panel, market.last_session, parameters.horizon)
        lap("labels")
        return cls(market, moves, features, known, seconds)

    def training_set(self) -> TrainingSet:
        """Rows that weekly models are trained on."""
        return TrainingSet.build(
            self.market.panel, self.features, self.labels.excess, self.labels.end, FEATURE_NAMES, git_commit()
        )

    def rows(self, start: np.datetime64 | None, end: np.datetime64 | None) -> tuple[int, int]:
        """Rows start … stop − 1 of the sessions from one date to another; DataError where there are none."""
        dates = self.market.panel.dates
        first = 0 if start is None else int(np.searchsorted(dates, start))
        stop = len(dates) if end is None else int(np.searchsorted(dates, end, side="right"))
        if first >= stop:
            raise DataError(f"no session from {start} to {end}: the market has {dates[0]} to {dates[-1]}")
        return first, stop

    def excess_member(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Labels and the stocks they are judged on, (T, N) each."""
        panel = self.market.panel
        return self.labels.excess, panel.member & ~panel.is_etf
