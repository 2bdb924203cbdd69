"""A folder of Parquet files as a market source (layout: one file a table, named after it)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from quant50.errors import DataError
from training.sources.records import COLUMNS, Batch, check_columns

REQUIRED: Final[tuple[str, ...]] = ("assets", "bars", "actions", "index_holdings", "rates", "vix", "factors")
OPTIONAL: Final[tuple[str, ...]] = ("renames",)
FILLABLE: Final[frozenset[str]] = frozenset({"note", "delisting_note"})
"""Columns of remarks, NULL where a file has none."""

REFERENCE_TABLES: Final[tuple[str, ...]] = ("index_holdings", "rates", "vix", "factors")


@dataclass(frozen=True)
class ParquetFolder:
    """Market data in `folder`: `bars.parquet`, `actions.parquet`, … with at least the columns of `COLUMNS`.

    Attributes
    ----------
    folder : the folder
    complete_to : last day the data can know of; None = last date of holdings, rates, VIX and factors
    tickers_per_batch : bars are read in pieces of this many tickers, so that memory stays low

    Raises
    ------
    DataError
        The folder or a file is missing, is not Parquet, lacks a column, or holds no bars.
    """

    folder: Path
    complete_to: date | None = None
    tickers_per_batch: int = 50
    name: str = field(default="Parquet folder", init=False)
    simulated: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Check folder, files and columns before anything is read."""
        if self.tickers_per_batch < 1:
            raise DataError(f"tickers_per_batch must be at least 1, not {self.tickers_per_batch}")
        if not self.folder.is_dir():
            raise DataError(f"no folder {self.folder}: give the folder that holds bars.parquet")
        missing = [f"{table}.parquet" for table in REQUIRED if not self._file(table).is_file()]
        if missing:
            raise DataError(f"{self.folder} lacks {', '.join(missing)}: add the file(s) or give another folder")
        for table in self._tables():
            found = [str(row[0]) for row in self._rows(table, f"DESCRIBE SELECT * FROM {self._scan(table)}")]
            check_columns(str(self._file(table)), found, tuple(c for c in COLUMNS[table] if c not in FILLABLE))
        if not self._rows("bars", f"SELECT 1 FROM {self._scan('bars')} LIMIT 1"):
            raise DataError(f"{self._file('bars')} holds no bars: give a folder with data")

    @property
    def description(self) -> str:
        """Span of the bars, for the reports."""
        first, last = self._rows("bars", f"SELECT min(date)::DATE, max(date)::DATE FROM {self._scan('bars')}")[0]
        return f"daily US market data from Parquet files, {first} to {last}"

    @property
    def as_of(self) -> date:
        """`complete_to`, or else the last date of the reference series; DataError if those are empty."""
        if self.complete_to is not None:
            return self.complete_to
        ends = [
            self._rows(table, f"SELECT max(date)::DATE FROM {self._scan(table)}")[0][0] for table in REFERENCE_TABLES
        ]
        known = [end for end in ends if isinstance(end, date)]
        if not known:
            raise DataError(f"{self.folder}: {', '.join(REFERENCE_TABLES)} are empty: state complete_to")
        return max(known)

    def fingerprint(self) -> str:
        """SHA-256 over the files' bytes, `as_of` and the size of the pieces."""
        digest = hashlib.sha256(f"{self.as_of} {self.tickers_per_batch}".encode())
        for table in self._tables():
            with self._file(table).open("rb") as stream:
                digest.update(f"{table} {hashlib.file_digest(stream, 'sha256').hexdigest()}".encode())
        return digest.hexdigest()

    def batches(self) -> Iterator[Batch]:
        """Assets first, then bars by ranges of tickers, then the other tables whole; file order within a piece."""
        for table in self._tables():
            if table == "bars":
                yield from self._bars()
            else:
                yield self._batch(table, "all", "true")

    def _bars(self) -> Iterator[Batch]:
        query = f"SELECT DISTINCT ticker FROM {self._scan('bars')} WHERE ticker IS NOT NULL ORDER BY ticker"
        tickers = [str(row[0]) for row in self._rows("bars", query)]
        for start in range(0, len(tickers), self.tickers_per_batch):
            piece = tickers[start : start + self.tickers_per_batch]
            yield self._batch(
                "bars", f"{piece[0]}..{piece[-1]}", f"ticker BETWEEN {_text(piece[0])} AND {_text(piece[-1])}"
            )
        if self._rows("bars", f"SELECT 1 FROM {self._scan('bars')} WHERE ticker IS NULL LIMIT 1"):
            yield self._batch("bars", "no ticker", "ticker IS NULL")  # for the quarantine, not for the bin

    def _batch(self, table: str, key: str, condition: str) -> Batch:
        found = [str(row[0]) for row in self._rows(table, f"DESCRIBE SELECT * FROM {self._scan(table)}")]
        columns = ", ".join(c if c in found else f"NULL::VARCHAR AS {c}" for c in COLUMNS[table])
        with duckdb.connect() as connection:
            frame = connection.sql(f"SELECT {columns} FROM {self._scan(table)} WHERE {condition}").df()
        return Batch(table, key, frame)

    def _tables(self) -> list[str]:
        return [*REQUIRED, *(table for table in OPTIONAL if self._file(table).is_file())]

    def _file(self, table: str) -> Path:
        return self.folder / f"{table}.parquet"

    def _scan(self, table: str) -> str:
        return f"read_parquet({_text(str(self._file(table)))})"

    def _rows(self, table: str, query: str) -> list[tuple[object, ...]]:
        try:
            with duckdb.connect() as connection:
                return list(connection.execute(query).fetchall())
        except duckdb.Error as error:
            raise DataError(
                f"{self._file(table)} is not readable Parquet ({_first_line(error)}): replace it"
            ) from error


def _text(value: str) -> str:
    """An SQL literal.

    >>> _text("O'Reilly")
    "'O''Reilly'"
    """
    return "'" + value.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
