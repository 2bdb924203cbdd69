"""What all commands share: the console, progress bars, and one sentence for each error."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from quant50.errors import DataError, Quant50Error

console = Console(width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True)

Advance = Callable[[int], None]

INTERRUPTED: Final = 130
"""Exit code of a command ended by Ctrl-C."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A progress bar of `total` steps; yields the function that advances it."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as bar:
        task = bar.add_task(label, total=total)

        def advance(steps: int = 1) -> None:
            bar.update(task, advance=steps)

        yield advance


def run(app: typer.Typer) -> None:
    """Run a command line; expected errors end it with one sentence and exit code 2."""
    try:
        app()
    except Quant50Error as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _refuse(f"the disk is full ({error.filename}); free room and run the command again")
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into this before anyone else sees it
            errors.print("interrupted: what was finished is kept; the same command goes on from there")
        raise


def _refuse(sentence: str) -> NoReturn:
    errors.print(f"[red]error:[/red] {escape(sentence)}", highlight=False, soft_wrap=True)
    sys.exit(2)


def folder_name(option: str, name: str) -> str:
    """A name that is one plain folder, or DataError: '', '.', '..' and paths would leave runs/.

    >>> folder_name("--name", "mine")
    'mine'
    """
    if name in ("", ".", "..") or Path(name).name != name:
        raise DataError(f"{option} must be a plain folder name, not {name!r}")
    return name
