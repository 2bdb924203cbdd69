"""The command `demo`: the whole system once, on the simulated market."""

from __future__ import annotations

from pathlib import Path

from quant50.parameters import Parameters
from reports.daily_pdf import write_daily
from training.commands.backtest import backtest_kind, closing_table
from training.commands.console import console
from training.commands.ingest import run_ingest
from training.commands.train import last_weeks
from training.fit import FitParameters
from training.prepared import Prepared
from training.sources.simulated import MarketParameters, SimulatedSource


def run_demo(store: Path, storage: Path, folder: Path, reports: Path, weeks: int, seed: int, signal: float) -> None:
    """Ingest, train, trade the last `weeks` weeks, report, and print where everything is."""
    summary = run_ingest(SimulatedSource(MarketParameters(seed=seed, signal=signal)), store, True)
    rejected = sum(summary.rejected.values())
    console.print(f"market store: {summary.status}, {rejected} erroneous rows in quarantine")
    parameters = Parameters()
    prepared = Prepared.load(store, parameters)
    start, stop = last_weeks(prepared, weeks)
    run, trained = backtest_kind(
        prepared, storage, folder, start, stop, parameters, FitParameters(),
        cash=1_000_000.0, trials=1, seed=seed,
    )  # fmt: skip
    pdf = write_daily(run, reports)
    paths = [("Market store", store), ("Models", storage / "quant50"), ("Run folder", folder), ("Daily PDF", pdf)]
    console.print(closing_table(run, paths, trained))
