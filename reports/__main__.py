"""Command line of the reports: `python -m reports daily RUN_DIR`, `python -m reports metrics RUN_DIR`."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from quant50.errors import Quant50Error
from reports.daily_pdf import write_daily
from reports.metrics import summary
from reports.run_folder import read_run
from reports.sheet import NONE, number, percent

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Reports on a run: a folder of runs/ that a backtest or the paper account wrote.\n\n"
    "Start with: python -m reports metrics runs/demo",
)
RunFolder = Annotated[Path, typer.Argument(help="Folder of the run, such as runs/demo.", show_default=False)]

FRACTIONS = (
    "total_return", "cagr", "volatility", "maximum_drawdown", "hit_rate", "value_at_risk_95",
    "conditional_value_at_risk_95", "alpha", "tracking_error", "mean_invested", "probabilistic_sharpe",
    "deflated_sharpe",
)  # fmt: skip
"""Figures printed as per cent."""


@app.command()
def daily(
    run_folder: RunFolder,
    date: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Session to report on; the last one if not given."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to; made if missing.")] = Path("reports/out"),
) -> None:
    """Write the daily report diario_YYYYMMDD.pdf of one session.

    It shows the session as it stood after that close: later rows of the run are not looked at.
    The same run gives the same bytes.

    Example: python -m reports daily runs/demo --date 2020-03-16
    """
    path = write_daily(read_run(run_folder), out, None if date is None else np.datetime64(date.date()))
    Console().print(f"Wrote [bold]{path}[/bold]", soft_wrap=True)


@app.command()
def metrics(
    run_folder: RunFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print the figures of a run beside those of its benchmark, computed anew from its tables.

    Definitions, units and sources stand in reports/metrics.py and reports/inference.py.

    Example: python -m reports metrics runs/demo
    """
    run = read_run(run_folder)
    figures = summary(run)
    if as_json:
        print(json.dumps({name: value if math.isfinite(value) else None for name, value in figures.items()}, indent=2))
        return
    market = "simulated market" if run.manifest.simulated else "market data"
    table = Table(title=f"Run {run.name}: {run.first_date} to {run.last_date}, {market}")
    table.add_column("Figure")
    for column in ("Quant50", "SPY"):
        table.add_column(column, justify="right")
    for name, value in figures.items():
        if not name.startswith("benchmark_"):
            twin = figures.get(f"benchmark_{name}")
            table.add_row(name.replace("_", " "), _printed(name, value), "" if twin is None else _printed(name, twin))
    Console().print(table)


def _printed(name: str, value: float) -> str:
    if not math.isfinite(value):
        return NONE
    return percent(value) if name in FRACTIONS else number(value, 0 if value == round(value) else 2)


def main() -> None:
    """Run the command line; an expected error is one sentence on stderr and exit code 2."""
    try:
        app()
    except (Quant50Error, OSError) as error:
        Console(stderr=True, highlight=False).print(f"reports: {error}", markup=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
