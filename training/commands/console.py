"""What all commands share: the console, progress bars, and one sentence for each error."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quant50.errors import Quant50Error

console = Console()
errors = Console(stderr=True)

Advance = Callable[[int], None]


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A progress bar of `total` steps; yields the function that advances it."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as bar:
        task = bar.add_task(label, total=total)

        def advance(steps: int = 1) -> None:
            bar.update(task, advance=steps)

        yield advance


def key_value_table(title: str, rows: list[tuple[str, Any]]) -> Table:
    """A two-column table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def run(app: typer.Typer) -> None:
    """Run a command line; expected errors end it with one sentence and exit code 2."""
    try:
        app()
    except Quant50Error as error:
        errors.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("interrupted: what was finished is kept; the same command goes on from there")
        sys.exit(130)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        errors.print(f"[red]error:[/red] the disk is full ({error.filename}); free room and run the command again")
        sys.exit(2)
