"""Command line of the offline work: `python -m training --help`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from quant50.errors import DataError
from quant50.parameters import Parameters
from training.commands.console import console, folder_name, run

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From market data to weekly models to a walk-forward backtest. Start with `demo`.",
)
Store = Annotated[Path, typer.Option(help="Market store (a DuckDB file); `ingest` makes one.")]
Storage = Annotated[Path, typer.Option(help="Object Store folder that holds the model bundles.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="YYYY-MM-DD; left out: as far as data reach.")]
Seed = Annotated[int, typer.Option(help="Seed of the simulated market.")]
Signal = Annotated[float, typer.Option(help="Rank IC of the signal planted in the simulated market; 0 plants none.")]

SIMULATED_STORE = Path("data/store/simulated.duckdb")


def _day(value: datetime | None) -> np.datetime64 | None:
    return None if value is None else np.datetime64(value.date(), "D")


@app.command()
def demo(
    weeks: Annotated[int, typer.Option(min=1, help="Weeks to trade, the last ones of the market.")] = 104,
    seed: Seed = 0,
    signal: Signal = 0.03,
) -> None:
    """Simulated market -> weekly models -> walk-forward backtest -> daily PDF."""
    from training.commands.demo import run_demo

    run_demo(SIMULATED_STORE, Path("storage"), Path("runs/demo"), Path("reports/out"), weeks, seed, signal)


@app.command()
def ingest(
    store: Store = SIMULATED_STORE,
    parquet: Annotated[Path | None, typer.Option(help="Parquet folder to read; left out: simulate a market.")] = None,
    seed: Seed = 0,
    signal: Signal = 0.03,
) -> None:
    """Bring a market store to what a source yields: checked, atomic, resumable."""
    from training.commands.ingest import render, run_ingest
    from training.sources.parquet_folder import ParquetFolder
    from training.sources.records import Source
    from training.sources.simulated import MarketParameters, SimulatedSource

    source: Source = ParquetFolder(parquet) if parquet else SimulatedSource(MarketParameters(seed=seed, signal=signal))
    console.print(render(run_ingest(source, store, True)))


@app.command()
def train(
    store: Store = SIMULATED_STORE,
    storage: Storage = Path("storage"),
    start: Day = None,
    end: Day = None,
    kind: Annotated[str, typer.Option(help="lightgbm, ridge, momentum or none.")] = "lightgbm",
) -> None:
    """Train this week's model, or with --start the model of every week from there on."""
    from training.commands.train import counted, this_week, train_range, weeks_of
    from training.fit import FitParameters
    from training.prepared import Prepared

    prepared = Prepared.load(store, Parameters())
    chosen = [this_week(prepared)]
    if start is not None:
        chosen = weeks_of(prepared, *prepared.rows(_day(start), _day(end)))
    results = train_range(prepared, storage, chosen, FitParameters(kind=kind))
    console.print(f"{counted(results)}; in force: {storage}/quant50/index.json, newest week {chosen[-1].usable_from}")


@app.command()
def backtest(
    store: Store = SIMULATED_STORE,
    storage: Storage = Path("storage"),
    start: Day = None,
    end: Day = None,
    kind: Annotated[str, typer.Option(help="lightgbm, ridge, momentum or none.")] = "lightgbm",
    cash: Annotated[float, typer.Option(help="USD at the start.")] = 1_000_000.0,
    costs: Annotated[float, typer.Option(help="Cost multiplier: 0 none, 1 as modelled, 2 double.")] = 1.0,
    trials: Annotated[int, typer.Option(min=1, help="Strategies tried before this one, for the deflated Sharpe.")] = 1,
    name: Annotated[str, typer.Option(help="Name of the folder in runs/.")] = "backtest",
) -> None:
    """Walk forward: each week's model trades the sessions it was in force; writes runs/NAME."""
    from training.commands.backtest import backtest_kind, closing_table
    from training.fit import FitParameters
    from training.prepared import Prepared

    folder = Path("runs") / folder_name("--name", name)
    if not cash > 0:
        raise DataError(f"--cash must be above zero, not {cash:g}")
    parameters = Parameters(cost_multiplier=costs)
    prepared = Prepared.load(store, parameters)
    first, stop = prepared.rows(_day(start), _day(end))
    if start is None:
        first = max(first, stop - 504)
    result, weeks = backtest_kind(
        prepared, storage, folder, first, stop, parameters, FitParameters(kind=kind), cash=cash, trials=trials
    )
    console.print(closing_table(result, [("Run folder", folder)], weeks))


@app.command()
def study(
    store: Store = Path("data/store/market.duckdb"),
    storage: Storage = Path("storage/study"),
    start: Day = None,
    end: Day = None,
    cash: Annotated[float, typer.Option(help="USD at the start.")] = 1_000_000.0,
    name: Annotated[str, typer.Option(help="Prefix of the folders in runs/.")] = "study",
) -> None:
    """The strategy beside all its baselines at 0, 1 and 2 times the costs, on the same days."""
    from training.commands.study import run_study

    run_study(store, storage, Path("runs"), folder_name("--name", name), _day(start), _day(end), cash)


@app.command()
def replay(
    run_dirs: Annotated[list[Path], typer.Argument(help="Folders of recorded LEAN runs.")],
    market: Annotated[Path | None, typer.Option(help="Parquet folder, for runs without bars of their own.")] = None,
) -> None:
    """Hold the simulator against recorded LEAN runs; exit code 1 with the first difference."""
    from training.simulator.replay import report

    raise typer.Exit(report(run_dirs, market))


@app.command("null-market")
def null_market(
    signal: Signal = 0.0,
    first_seed: Annotated[int, typer.Option(help="First seed.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 6,
    weeks: Annotated[int, typer.Option(min=1, help="Weeks traded in each market.")] = 104,
) -> None:
    """Where there is no signal the pipeline must find none; where there is one, most of it. Exit code 1 outside."""
    from training.commands.null_market import run_null_market

    raise typer.Exit(run_null_market(signal, first_seed, seeds, weeks))


@app.command()
def facts(
    first_seed: Annotated[int, typer.Option(help="First seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 5,
) -> None:
    """Stylised facts of the simulated market against bands measured on real data; exit code 1 if one fails."""
    from training.commands.facts import run_facts

    raise typer.Exit(run_facts(first_seed, seeds))


if __name__ == "__main__":
    run(app)
