"""The records every market source yields, and the columns they must have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

import pandas as pd

from quant50.errors import DataError

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "bars": ("ticker", "date", "open", "high", "low", "close", "volume"),
    "actions": ("ticker", "date", "kind", "value", "note"),
    "renames": ("ticker", "date", "old_symbol", "new_symbol"),
    "assets": ("ticker", "name", "type", "sector", "first_date", "last_date", "delisting_note"),
    "index_holdings": ("date", "ticker", "symbol", "name", "sector", "weight"),
    "rates": ("date", "dtb3"),
    "vix": ("date", "open", "high", "low", "close"),
    "factors": ("date", "mkt_rf", "smb", "hml", "rmw", "cma", "mom", "rf"),
}
"""Columns of each table, in order. Prices in USD as traded; `dtb3` and the factors in percent."""

ACTION_KINDS: Final[tuple[str, ...]] = ("split", "dividend", "spinoff")
"""`split`: new per old share; `dividend`, `spinoff`: USD per share, per NEW share when a split falls on the day."""


@dataclass(frozen=True)
class Batch:
    """A piece of one table, written as a whole or not at all.

    Attributes
    ----------
    table : name of a table in `COLUMNS`
    key : name of the piece, unique within its table and the same in every run, such as 'A..AMZN'
    frame : rows with exactly the columns of the table, in any column order

    Raises
    ------
    DataError
        The table is unknown, or columns are missing or superfluous.
    """

    table: str
    key: str
    frame: pd.DataFrame

    def __post_init__(self) -> None:
        """Check the table's name and the columns."""
        if self.table not in COLUMNS:
            raise DataError(f"unknown table {self.table!r}: a source may yield {', '.join(COLUMNS)}")
        check_columns(f"batch {self.key!r} of table {self.table}", self.frame.columns, COLUMNS[self.table])
        if len(self.frame.columns) != len(COLUMNS[self.table]):
            raise DataError(
                f"batch {self.key!r} of table {self.table} has columns {', '.join(map(str, self.frame.columns))}: "
                f"yield exactly {', '.join(COLUMNS[self.table])}"
            )


class Source(Protocol):
    """A market data source; it knows nothing of the store.

    Attributes
    ----------
    name : short name, such as 'parquet folder'
    simulated : whether the market is invented
    description : one line for the reports
    as_of : the day the data were complete; a later date in any record is an error (there is no clock)
    """

    @property
    def name(self) -> str:
        """Short name of the source."""

    @property
    def simulated(self) -> bool:
        """Whether the market is invented."""

    @property
    def description(self) -> str:
        """One line for the reports."""

    @property
    def as_of(self) -> date:
        """Last day the source can know of."""

    def fingerprint(self) -> str:
        """SHA-256 that changes whenever the batches would."""

    def batches(self) -> Iterator[Batch]:
        """All records, in a fixed order and in fixed pieces."""


def check_columns(where: str, found: Iterable[str], needed: tuple[str, ...]) -> None:
    """Refuse a table that lacks a needed column.

    Raises
    ------
    DataError
        Columns are missing; the sentence names them.

    >>> check_columns("rates.parquet", ["date"], ("date", "dtb3"))
    Traceback (most recent call last):
    ...
    quant50.errors.DataError: rates.parquet lacks the column(s) dtb3: add them or correct their names
    """
    missing = [name for name in needed if name not in set(found)]
    if missing:
        raise DataError(f"{where} lacks the column(s) {', '.join(missing)}: add them or correct their names")
