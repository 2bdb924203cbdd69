"""The command `backtest`: weekly models, walk-forward, run folder."""

from __future__ import annotations

import time
from pathlib import Path

from rich.table import Table

from quant50.parameters import Parameters
from reports.run_folder import Run
from training.backtest import run_backtest
from training.commands.console import progress
from training.commands.train import counted, train_range, weeks_of
from training.fit import FitParameters
from training.prepared import Prepared
from training.run_record import record
from training.walk_forward import score_sessions

SHOWN = (
    ("CAGR", "cagr", "{:.2%}", "benchmark_cagr"),
    ("Volatility, annual", "volatility", "{:.2%}", "benchmark_volatility"),
    ("Sharpe over T-bills", "sharpe", "{:.2f}", "benchmark_sharpe"),
    ("  standard error", "sharpe_standard_error", "{:.2f}", ""),
    ("Maximum drawdown", "maximum_drawdown", "{:.2%}", "benchmark_maximum_drawdown"),
    ("Turnover a year, chosen", "turnover_chosen", "{:.1f}", ""),
    ("Turnover a year, forced", "turnover_forced", "{:.1f}", ""),
    ("Mean holdings", "mean_holdings", "{:.1f}", ""),
    ("Rank IC", "rank_ic", "{:.4f}", ""),
    ("  t (Newey-West)", "rank_ic_t", "{:.2f}", ""),
    ("ROC-AUC", "auc", "{:.4f}", ""),
)
"""What the closing table shows: label, metric, format, the benchmark's metric."""


def backtest_kind(
    prepared: Prepared,
    storage: Path,
    folder: Path,
    start: int,
    stop: int,
    parameters: Parameters,
    fit: FitParameters,
    *,
    cash: float,
    trials: int,
    workers: int = 2,
    seed: int = 0,
) -> tuple[Run, str]:
    """Train what is missing, trade the sessions start … stop − 1 and write the run; with what became of the weeks."""
    begun = time.perf_counter()
    results = train_range(prepared, storage, weeks_of(prepared, start, stop), fit, workers)
    trained = time.perf_counter() - begun
    scored = score_sessions(prepared, storage, parameters, start, stop)
    with progress("walk-forward backtest", stop - start) as advance:
        backtest = run_backtest(prepared, scored, parameters, cash, start, stop, advance)
    run = record(
        folder, prepared, scored, backtest, parameters,
        cash=cash, kind=fit.kind, trials=trials, fit=fit.mapping(), seed=seed, seconds={"trainings": trained},
    )  # fmt: skip
    return run, counted(results)


def closing_table(run: Run, paths: list[tuple[str, Path]], weeks: str) -> Table:
    """The closing table of a run: main figures beside the benchmark's, and what was written where."""
    marked = "SIMULATED MARKET, not real results" if run.manifest.simulated else run.manifest.description
    table = Table(title=f"{run.name}: {run.manifest.start} to {run.manifest.end}", caption=marked, title_justify="left")
    table.add_column("")
    table.add_column(run.manifest.model, justify="right")
    table.add_column("SPY", justify="right")
    for label, metric, form, benchmark in SHOWN:
        table.add_row(label, form.format(run.metrics[metric]), form.format(run.metrics[benchmark]) if benchmark else "")
    rungs = " ".join(f"{n}:{run.metrics[f'days_on_rung_{n}']:.0f}" for n in (1, 2, 3, 4))
    table.add_row("Days on each rung", rungs, "")
    table.add_row("Weekly models", weeks, "")
    table.add_section()
    for label, path in paths:
        table.add_row(label, str(path), "")
    return table
