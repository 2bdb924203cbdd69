"""Runs the stages, each in a fresh process: `python -m benchmarks --help`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
STAGES = (
    "ingest", "panel", "features", "labels", "weekly-training", "weekly-training-same-rows", "all-trainings",
    "trading-loop", "replay", "ledoit-wolf", "decision", "simulation-100", "daily-pdf",
)  # fmt: skip
NEEDS_STORE = frozenset(STAGES) - {"ingest", "trading-loop", "replay", "ledoit-wolf", "daily-pdf"}
FULL = "all-trainings"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Row = dict[str, Any]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()


def existing(variable: str, default: Path, file: str) -> Path | None:
    """Folder named by an environment variable, or the default one; None if it does not hold the file."""
    folder = Path(os.environ.get(variable, default))
    return folder if (folder / file).exists() else None


def run_stage(name: str, source: dict[str, str | None]) -> Row:
    """Row of one stage, run in a process of its own; with key 'skipped' or 'failed' instead of figures."""
    environment = {**dict.fromkeys(THREADS, "1"), **os.environ}
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.stages", name, json.dumps(source)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if child.returncode != 0:
        reason = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        return {"name": name, "failed": reason}
    row: Row = json.loads(child.stdout.splitlines()[-1])
    return row


def render(rows: list[Row]) -> Table:
    """The closing table."""
    table = Table(title="Stages, each in its own process", title_justify="left")
    for head in ("stage", "seconds", "peak MB", "peer", "peer s", "ratio"):
        table.add_column(head, justify="left" if head in ("stage", "peer") else "right", no_wrap=head != "peer")
    for row in rows:
        beside = (row["peer"], f"{row['peer_seconds']:.3g}", f"{row['ratio']:.2f}") if "peer" in row else ("", "", "")
        table.add_row(row["name"], f"{row['seconds']:.3g}", f"{row['peak_mb']:.0f}", *beside)
    return table


@app.command()
def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Stage to run, repeatable: {', '.join(STAGES)}.")] = None,
    market: Annotated[
        Path | None, typer.Option(help="Parquet folder; left out: QUANT50_MARKET_DATA or ../shared/data/market.")
    ] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="Use the simulated market in any case.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Also train all weeks, which takes minutes.")] = False,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("benchmarks/out/bench.json"),
) -> None:
    """Measure seconds and peak memory of each stage, beside peers where there are any.

    The memory is that of the stage's whole process, with the market it works on and its peer. `ratio` is peer seconds
    divided by our seconds. Without real data the stages run on the simulated market; each row names its source.
    """
    unknown = set(only or ()) - set(STAGES)
    if unknown:
        raise typer.BadParameter(f"unknown stage {', '.join(sorted(unknown))}; known are {', '.join(STAGES)}")
    if market is not None and not (market / "bars.parquet").exists():
        raise typer.BadParameter(f"--market {market}: no bars.parquet there")
    shared = ROOT.parent / "shared"
    real = None if simulated else market or existing("QUANT50_MARKET_DATA", shared / "data" / "market", "bars.parquet")
    golden = existing("QUANT50_LEAN_GOLDEN", shared / "lean-golden", "README.md") or ROOT / "tests" / "golden"
    source = {
        "market": str(real.resolve()) if real else None,
        "store": str(ROOT / "benchmarks" / "out" / f"{'real' if real else 'simulated'}.duckdb"),
        "golden": str(golden.resolve()),
    }
    chosen = [name for name in STAGES if (name in only if only else name != FULL or full)]
    rows = [run_stage("make-store", source)] if NEEDS_STORE & set(chosen) else []
    with console.status("") as status:
        for name in chosen:
            status.update(name)
            rows.append(run_stage(name, source))
    rows = [row for row in rows if row["name"] != "make-store" or "failed" in row]
    measured = [row for row in rows if "seconds" in row]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(measured, indent=1) + "\n")
    console.print(render(measured))
    for row in rows:
        lines = [row[key] for key in ("source", "note") if key in row]
        lines += [f"{key}: {row[key]}" for key in ("skipped", "failed") if key in row]
        console.print(f"{row['name']}: {'; '.join(lines)}", highlight=False, markup=False, soft_wrap=True)
    if FULL not in chosen and not only:
        console.print(f"{FULL}: left out; --full runs it")
    console.print(f"Wrote {out}")
    if any("failed" in row for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
