"""The stages that are measured; `python -m benchmarks.stages NAME SOURCE_JSON` runs one and prints its row as JSON."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import Measured, SkippedError, Source, timed, typical
from quant50.features import FEATURE_NAMES, panel_features
from quant50.panel import returns
from quant50.parameters import Parameters
from training.dataset import every, targets, usable, weeks
from training.fit import FitParameters, Learner
from training.labels import labels as known_labels
from training.panel import Market, load_panel
from training.prepared import Prepared
from training.training_set import TrainingSet

SESSIONS, NAMES = 252, 312
"""Window and number of names of the covariance in a daily decision."""
REAL_SPAN, SIMULATED_WEEKS, WORKERS = (np.datetime64("2014-01-02"), np.datetime64("2021-04-21")), 104, 2
ROOT = Path(__file__).resolve().parents[1]


def _load(source: Source) -> Market:
    """The whole market of the store."""
    return load_panel(source.store, None, None, Parameters())


def make_store(source: Source) -> Measured:
    """Bring the store that the other stages read up to date; costs next to nothing where it is."""
    return Measured(timed(lambda: _ingest(source, source.store)), source.description)


def _ingest(source: Source, store: Path) -> None:
    from training.sources.parquet_folder import ParquetFolder
    from training.sources.simulated import SimulatedSource
    from training.store.ingest import ingest

    ingest(SimulatedSource() if source.market is None else ParquetFolder(source.market), store)


def ingest(source: Source) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed(lambda: _ingest(source, Path(folder) / "market.duckdb"))
    return Measured(seconds, source.description, note="" if source.market else "includes simulating the market")


def panel(source: Source) -> Measured:
    return Measured(*typical(lambda: _load(source)), source.description)


def features(source: Source) -> Measured:
    market = _load(source)
    moves = returns(market.panel)
    shape = " x ".join(map(str, market.panel.close.shape))
    return Measured(*typical(lambda: panel_features(market.panel, moves)), source.description, note=f"panel {shape}")


def labels(source: Source) -> Measured:
    market = _load(source)
    return Measured(*typical(lambda: known_labels(market.panel, market.last_session)), source.description)


def _training_set(source: Source) -> TrainingSet:
    market = _load(source)
    known = known_labels(market.panel, market.last_session)
    values = panel_features(market.panel, returns(market.panel))
    return TrainingSet.build(market.panel, values, known.excess, known.end, FEATURE_NAMES)


def _weekly_training(source: Source, same_rows: bool) -> Measured:
    """One week's fit beside LightGBM's scikit-learn interface with the same trees, leaves, learning rate and thread."""
    from lightgbm import LGBMClassifier

    rows, parameters = (data := _training_set(source)).rows, FitParameters()
    indices = usable(rows, weeks(data.panel.dates)[-1], parameters.training_years)
    learner = Learner(rows, FEATURE_NAMES, parameters)
    binning = timed(lambda: learner._binned)
    chosen = every(rows, indices, parameters.sessions_step) if same_rows else indices
    target = targets(rows.session[chosen], rows.excess[chosen], parameters.label)

    def peer() -> None:
        model = LGBMClassifier(
            n_estimators=parameters.trees, num_leaves=parameters.leaves, learning_rate=parameters.learning_rate,
            n_jobs=1, verbose=-1,
        )  # fmt: skip
        model.fit(rows.features[chosen], target)

    ours, theirs = typical(lambda: learner.fit(indices), peer)
    what = "the same sessions" if same_rows else "all sessions"
    note = (
        f"ours on one session in {parameters.sessions_step}, bins made once for all weeks in {binning:.2f} s (not "
        f"counted), no IC estimate; peer on {len(chosen)} rows ({what}) with its own other defaults, bins counted"
    )
    return Measured(ours, source.description, f"LGBMClassifier, {what}", theirs, note)


def weekly_training(source: Source) -> Measured:
    return _weekly_training(source, same_rows=False)


def weekly_training_same_rows(source: Source) -> Measured:
    return _weekly_training(source, same_rows=True)


def all_trainings(source: Source) -> Measured:
    from training.weekly import Result, train_weeks

    data = _training_set(source)
    chosen = list(weeks(data.panel.dates)[-SIMULATED_WEEKS:])
    if source.market is not None:
        chosen = [week for week in weeks(data.panel.dates) if REAL_SPAN[0] <= week.usable_from <= REAL_SPAN[1]]
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed(lambda: results.extend(train_weeks(data, chosen, Path(folder), workers=WORKERS)))
    trained = sum(result.status == "trained" for result in results)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    note = f"{trained} of {len(chosen)} weeks, {WORKERS} workers; memory is at most this: pages they share count twice"
    return Measured(seconds, source.description, note=note, children_mb=WORKERS * largest)


def _recorded_runs(source: Source) -> list[Path]:
    """Folders of recorded runs that can be replayed with the data at hand."""
    folders = sorted(path.parent for path in source.golden.glob("*/parameters.json"))
    found = [folder for folder in folders if source.market is not None or (folder / "bars.csv.gz").exists()]
    if found:
        return found
    raise SkippedError(f"no recorded runs in {source.golden.name} that the data at hand can replay")


def trading_loop(source: Source) -> Measured:
    from training.simulator.recorded import load_run, run_market
    from training.simulator.replay import compare, trade

    folders = _recorded_runs(source)
    folder = next((folder for folder in folders if folder.name == "five_years"), folders[0])
    run = load_run(folder)
    bars = run_market(folder, run, source.market)
    result = compare(run, bars, trade(run, bars))
    if result.difference is not None:
        raise RuntimeError(str(result))
    return Measured(*typical(lambda: trade(run, bars)), f"recorded run {folder.name}", note=str(result))


def replay(source: Source) -> Measured:
    from training.simulator.replay import ReplayResult
    from training.simulator.replay import replay as replay_run

    results: list[ReplayResult] = []
    seconds = timed(lambda: results.extend(replay_run(folder, source.market) for folder in _recorded_runs(source)))
    wrong = [str(result) for result in results if result.difference is not None]
    if wrong:
        raise RuntimeError("; ".join(wrong))
    return Measured(seconds, f"{len(results)} recorded runs", note="reading files included; all exact")


def ledoit_wolf(_source: Source) -> Measured:
    from sklearn.covariance import LedoitWolf

    from quant50.covariance import ledoit_wolf as estimate

    sample = np.random.default_rng(0).normal(0.0, 0.01, (SESSIONS, NAMES))
    ours, theirs = typical(lambda: estimate(sample), lambda: LedoitWolf().fit(sample), runs=21)
    gap = float(np.abs(estimate(sample).matrix / LedoitWolf(store_precision=False).fit(sample).covariance_ - 1.0).max())
    note = f"largest relative difference of an entry {gap:.0e}; the peer makes no inverse either"
    return Measured(ours, f"random {SESSIONS} x {NAMES}", "scikit-learn LedoitWolf", theirs, note)


def _random_scores(prepared: Prepared) -> Any:
    """Scores without a model, so that no training is needed: a seeded normal for each member."""
    from training.walk_forward import ScoredSessions

    panel = prepared.market.panel
    scores = np.random.default_rng(0).normal(size=panel.close.shape)
    scores[~(panel.member & ~panel.is_etf)] = np.nan
    ic, ic_standard_error, model = (np.full(len(panel.dates), value) for value in (0.01, 0.005, "random"))
    return ScoredSessions(scores, ic, ic_standard_error, model)


RANDOM = "random scores of IC 0.01 in place of a model's"


def decision(source: Source) -> Measured:
    from quant50.optimizer import Optimizer
    from training.backtest import ModelStrategy, optimizer_size, regulatory_fee
    from training.simulator.bars import market_bars
    from training.simulator.loop import simulate

    parameters, warm_up, sessions = Parameters(), 5, 20
    prepared = Prepared.load(source.store, parameters)
    panel = prepared.market.panel
    optimizer = Optimizer(optimizer_size(prepared, parameters), parameters.covariance_factors, parameters)
    strategy = ModelStrategy(prepared, _random_scores(prepared), parameters, optimizer)
    elapsed = [0.0]
    strategy.advance = lambda _: elapsed.append(strategy.seconds)
    start = len(panel.dates) - warm_up - sessions
    fee = regulatory_fee(panel.dates, parameters.cost_multiplier)
    simulate(market_bars(panel, prepared.market.last_session), strategy, 1e6, fee, start)
    each = np.diff(elapsed)[warm_up:]
    note = f"median of {len(each)} sessions, slowest {each.max():.3f} s; {RANDOM}"
    return Measured(float(np.median(each)), source.description, note=note)


def simulation_100(source: Source) -> Measured:
    from training.backtest import run_backtest

    prepared = Prepared.load(source.store, Parameters())
    stop = len(prepared.market.panel.dates)
    backtest = run_backtest(prepared, _random_scores(prepared), Parameters(), 1e6, stop - 100, stop)
    note = f"decisions {backtest.seconds['decisions']:.2f} s of it; the optimiser's one compilation included; {RANDOM}"
    return Measured(backtest.seconds["simulation"], source.description, note=note)


def daily_pdf(_source: Source) -> Measured:
    from reports.daily_pdf import write_daily
    from reports.run_folder import read_run

    folder = ROOT / "runs" / "demo"
    if not (folder / "manifest.json").exists():
        raise SkippedError("no runs/demo; `make demo` makes it")
    with tempfile.TemporaryDirectory() as out:
        seconds = typical(lambda: write_daily(read_run(folder), Path(out)))
    return Measured(*seconds, "runs/demo", note="reading the run folder included")


def main(name: str, source_json: str) -> None:
    """Run one stage and print its row."""
    places = json.loads(source_json)
    market = places["market"]
    source = Source(None if market is None else Path(market), Path(places["store"]), Path(places["golden"]))
    stage: Callable[[Source], Measured] = globals()[name.replace("-", "_")]
    try:
        measured = stage(source)
    except SkippedError as error:
        print(json.dumps({"name": name, "skipped": str(error)}))
        return
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(measured.row(name, peak_mb)))


if __name__ == "__main__":
    main(*sys.argv[1:])
