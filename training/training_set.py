"""The training set: a panel's labelled rows and the context that enters each week's bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant50.panel import HISTORY_SESSIONS, Floats, Ints, Panel
from training.dataset import Rows, Week, labelled_rows, session_digests


@dataclass(frozen=True)
class TrainingSet:
    """The labelled rows of a panel and what else enters a week's bundle.

    Attributes
    ----------
    panel : (T, N) of which only rows before the week, and `member` and `sector` of its first session, are read
    rows : of `training.dataset.labelled_rows`
    feature_names : F names
    commit : git commit of the code, kept in the bundle but not part of its key
    """

    panel: Panel
    rows: Rows
    feature_names: tuple[str, ...]
    commit: str = ""

    @classmethod
    def build(
        cls,
        panel: Panel,
        features: NDArray[np.float32],
        excess: Floats,
        end: Ints,
        feature_names: Sequence[str],
        commit: str = "",
    ) -> TrainingSet:
        """Training set of features (T, N, F), labels (T, N) and the rows (T,) or (T, N) where their spans end."""
        rows = labelled_rows(panel.dates, features, panel.member & ~panel.is_etf, excess, end)
        return cls(panel, rows, tuple(feature_names), commit)

    @cached_property
    def digests(self) -> dict[int, bytes]:
        """Digest of each session's rows."""
        return session_digests(self.rows, self.panel.tickers)

    def context(self, week: Week) -> dict[str, Any]:
        """Sector map, universe and recent actions as known before a week's first session.

        A week that lies just after the panel takes the map of the panel's last session.
        """
        panel, row = self.panel, min(week.first_row, len(self.panel.dates) - 1)
        start = max(week.first_row - HISTORY_SESSIONS, 0)
        past = slice(start, week.first_row)
        days, columns = np.nonzero((panel.split[past] != 1.0) | (panel.dividend[past] != 0.0))
        stocks = np.flatnonzero(~panel.is_etf).tolist()
        return {
            "sectors": {panel.tickers[n]: int(panel.sector[row, n]) for n in stocks},
            "universe": tuple(panel.tickers[n] for n in np.flatnonzero(panel.member[row]).tolist()),
            "actions": tuple(
                (str(panel.dates[t]), panel.tickers[n], float(panel.split[t, n]), float(panel.dividend[t, n]))
                for t, n in zip((days + start).tolist(), columns.tolist(), strict=True)
            ),
        }
