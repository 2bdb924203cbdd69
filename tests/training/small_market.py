"""A small simulated market, its weekly models and its changed twins, made once for several tests."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from quant50.decision import Decision
from quant50.features import panel_features
from quant50.panel import Panel, returns
from quant50.parameters import Parameters
from training.backtest import Backtest, run_backtest
from training.commands.train import weeks_of
from training.fit import FitParameters
from training.labels import labels
from training.prepared import Prepared
from training.sources.simulated import MarketParameters, SimulatedSource
from training.store.ingest import ingest
from training.walk_forward import ScoredSessions, score_sessions
from training.weekly import train_weeks

PARAMETERS = Parameters(candidates=36, keep_rank=40, maximum_holdings=15)
FIT = FitParameters(training_years=1, minimum_sessions=60, trees=10, minimum_leaf_rows=50, ic_folds=2)
CASH = 1_000_000.0
SESSIONS = 42
SPLIT = 1.37


@dataclass(frozen=True)
class SmallMarket:
    """A market of 44 stocks and 3 years with a strong signal, and the models of its last sessions, start … stop − 1."""

    folder: Path
    prepared: Prepared
    start: int
    stop: int

    @property
    def store(self) -> Path:
        """The market store."""
        return self.folder / "market.duckdb"

    @property
    def storage(self) -> Path:
        """The model registry; not to be changed."""
        return self.folder / "storage"

    def scored(self, prepared: Prepared | None = None) -> ScoredSessions:
        """Scores of all sessions, of this market or a changed one."""
        return score_sessions(prepared or self.prepared, self.storage, PARAMETERS, self.start, self.stop)

    def backtest(self, prepared: Prepared | None = None, **changes: Any) -> Backtest:
        """A backtest of this market or a changed one."""
        used = prepared or self.prepared
        return run_backtest(used, self.scored(used), replace(PARAMETERS, **changes), CASH, self.start, self.stop)


_FOLDER = tempfile.TemporaryDirectory(prefix="quant50-small-market-")  # removed at exit


@lru_cache(maxsize=1)
def small_market() -> SmallMarket:
    """The market; made at the first call."""
    folder = Path(_FOLDER.name)
    ingest(SimulatedSource(MarketParameters(stocks=44, years=3, signal=0.1)), folder / "market.duckdb")
    prepared = Prepared.load(folder / "market.duckdb", PARAMETERS)
    stop = len(prepared.market.panel.dates)
    market = SmallMarket(folder, prepared, stop - SESSIONS, stop)
    chosen = weeks_of(prepared, market.start, stop)
    train_weeks(prepared.training_set(), chosen, market.storage, FIT, workers=1)
    return market


def changed(prepared: Prepared, panel: Panel, last_session: Any = None) -> Prepared:
    """The market with another panel: returns, features and labels made anew."""
    market = prepared.market
    last = market.last_session if last_session is None else last_session
    moves = returns(panel)
    known = labels(panel, last, PARAMETERS.horizon)
    return Prepared(replace(market, panel=panel, last_session=last), moves, panel_features(panel, moves), known, {})


def with_events(prepared: Prepared, split: tuple[int, int], gone: tuple[int, int], hole: tuple[int, int]) -> Prepared:
    """The market with a split of 1.37 for 1, a delisting after a last bar and a missing bar, each at (row, column)."""
    panel = prepared.market.panel
    fields = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    splits, member, last = panel.split.copy(), panel.member.copy(), prepared.market.last_session.copy()
    row, column = split
    splits[row, column] = SPLIT
    for name, values in fields.items():
        values[row:, column] *= SPLIT if name == "volume" else 1 / SPLIT
        values[gone[0] + 1 :, gone[1]] = np.nan
        values[hole] = np.nan
    member[gone[0] + 1 :, gone[1]] = False
    last[gone[1]] = gone[0]
    dividend = panel.dividend.copy()
    dividend[gone[0] + 1 :, gone[1]] = 0.0
    return changed(prepared, replace(panel, split=splits, member=member, dividend=dividend, **fields), last)


def with_other_future(prepared: Prepared, row: int, seed: int = 0) -> Prepared:
    """The market as it is up to a row, and another one after it: prices, volumes, dividends and members."""
    panel, random = prepared.market.panel, np.random.default_rng(seed)
    later = slice(row + 1, None)
    factor = np.exp(random.normal(0.0, 0.1, panel.close[later].shape))
    fields = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume", "dividend")}
    for values in fields.values():
        values[later] *= factor
    member = panel.member.copy()
    member[later] &= random.random(member[later].shape) < 0.8
    return changed(prepared, replace(panel, member=member, **fields))


def decided(decision: Decision) -> tuple[Any, ...]:
    """Everything a decision holds, in a form that can be compared exactly."""
    return tuple(value.tobytes() if isinstance(value, np.ndarray) else repr(value) for value in vars(decision).values())
