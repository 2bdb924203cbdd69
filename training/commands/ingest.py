"""The command `ingest`: a source into the market store, with a progress bar and a closing table."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from training.sources.records import Source
from training.store.ingest import IngestSummary, ingest


def run_ingest(source: Source, store_path: Path, progress: bool) -> IngestSummary:
    """Bring the store to what the source yields (see `training.store.ingest.ingest`).

    Raises
    ------
    DataError
        The store is corrupt, the disk is full, another ingest is running, or the source yields no bars or wrong types.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, disable=not progress, transient=True) as bar:
        task = bar.add_task("reading the source", total=None)
        return ingest(source, store_path, lambda step, rows: bar.update(task, description=step, advance=rows))


def render(summary: IngestSummary) -> Table:
    """The closing table: rows kept, rejected with the reason, flagged."""
    table = Table(title=f"Market store {summary.status}: {summary.store}", caption=_caption(summary))
    table.add_column("Table or check")
    table.add_column("Rows", justify="right")
    for name, count in summary.rows.items():
        table.add_row(name, f"{count:,}")
    table.add_section()
    for (name, reason), count in summary.rejected.items():
        table.add_row(f"rejected: {name}, {reason}", f"{count:,}")
    for kind, count in summary.flagged.items():
        table.add_row(f"flagged: {kind}", f"{count:,}")
    return table


def _caption(summary: IngestSummary) -> str:
    marked = "simulated" in summary.description or not summary.simulated
    lines = [summary.description if marked else f"simulated market: {summary.description}"]
    lines.append(f"content {summary.content_hash[:16]}")
    if summary.steps_kept:
        lines.append(f"{summary.steps_kept} steps were finished by an interrupted ingest")
    if summary.restarted:
        lines.append(f"begun anew: {summary.restarted}")
    return "\n".join(lines)
