"""Scores of the weekly models, each used only in the sessions it was in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quant50.errors import ModelError
from quant50.features import FEATURE_NAMES
from quant50.model import Bundle, check_age, scores
from quant50.panel import Floats
from quant50.parameters import Parameters
from training.prepared import Prepared
from training.registry import bundles, read_bundle


@dataclass(frozen=True)
class ScoredSessions:
    """Scores of the sessions start … stop − 1 and the model each came from; arrays cover the whole panel.

    Attributes
    ----------
    scores : (T, N), NaN for non-members and outside the sessions
    ic, ic_standard_error : (T,) of the model in force, NaN outside the sessions
    model : (T,) `usable_from` of the model in force, '' outside the sessions
    """

    scores: Floats
    ic: Floats
    ic_standard_error: Floats
    model: NDArray[np.str_]


def score_sessions(prepared: Prepared, storage: Path, parameters: Parameters, start: int, stop: int) -> ScoredSessions:
    """Score each session with the bundle that the index says was in force.

    Raises
    ------
    ModelError
        A session has no bundle in force, or the one in force is older than the policy, altered, or made for other
        features.
    """
    panel = prepared.market.panel
    sessions, names = panel.close.shape
    result = ScoredSessions(
        np.full((sessions, names), np.nan), np.full(sessions, np.nan), np.full(sessions, np.nan),
        np.full(sessions, "", dtype="U10"),
    )  # fmt: skip
    entries = bundles(storage)
    first = np.array([entry.usable_from for entry in entries], dtype="datetime64[D]")
    in_force = np.searchsorted(first, panel.dates[start:stop], side="right") - 1
    if len(entries) == 0 or in_force[0] < 0:
        raise ModelError(f"no model is in force on {panel.dates[start]}: train the weeks from there on first")
    for number in np.unique(in_force):
        rows = start + np.flatnonzero(in_force == number)
        bundle = read_bundle(storage, entries[number], FEATURE_NAMES)
        check_age(bundle, date.fromisoformat(str(panel.dates[rows[-1]])), parameters.model_maximum_age_days)
        _fill(result, bundle, prepared, rows)
    return result


def _fill(result: ScoredSessions, bundle: Bundle, prepared: Prepared, rows: NDArray[np.int64]) -> None:
    """Write one bundle's scores into its sessions."""
    member = prepared.market.panel.member[rows] & ~prepared.market.panel.is_etf
    block = result.scores[rows]
    block[member] = scores(bundle, prepared.features[rows][member])
    result.scores[rows] = block
    result.ic[rows], result.ic_standard_error[rows] = bundle.ic, bundle.ic_standard_error
    result.model[rows] = bundle.usable_from
