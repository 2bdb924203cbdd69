"""Tables of the market store, how it is opened, and the hash of its contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from quant50.errors import DataError

VERSION: Final[str] = "1"
"""Version of tables and checks together: a change of either makes the next ingest start anew."""

TYPES: Final[dict[str, str]] = {
    "bars": "ticker VARCHAR, date DATE, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE",
    "actions": "ticker VARCHAR, date DATE, kind VARCHAR, value DOUBLE, note VARCHAR",
    "renames": "ticker VARCHAR, date DATE, old_symbol VARCHAR, new_symbol VARCHAR",
    "assets": "ticker VARCHAR, name VARCHAR, type VARCHAR, sector VARCHAR, first_date DATE, last_date DATE, "
    "delisting_note VARCHAR",
    "index_holdings": "date DATE, ticker VARCHAR, symbol VARCHAR, name VARCHAR, sector VARCHAR, weight DOUBLE",
    "rates": "date DATE, dtb3 DOUBLE",
    "vix": "date DATE, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE",
    "factors": "date DATE, mkt_rf DOUBLE, smb DOUBLE, hml DOUBLE, rmw DOUBLE, cma DOUBLE, mom DOUBLE, rf DOUBLE",
    "sessions": "date DATE",
    "quarantine": "table_name VARCHAR, key VARCHAR, reason VARCHAR, record VARCHAR",
    "flags": "ticker VARCHAR, date DATE, kind VARCHAR, detail VARCHAR",
}
"""Tables whose contents are hashed. `sessions`: NYSE calendar over the span of the bars; `record`: the row as JSON."""

BOOKKEEPING: Final[dict[str, str]] = {
    "ingest_log": "step INTEGER, table_name VARCHAR, key VARCHAR, accepted BIGINT, rejected BIGINT",
    "meta": "key VARCHAR PRIMARY KEY, value VARCHAR",
}


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every table of an empty store."""
    for table, columns in (TYPES | BOOKKEEPING).items():
        connection.execute(f"CREATE TABLE {table} ({columns})")


def content_hash(connection: duckdb.DuckDBPyConnection) -> str:
    """SHA-256 of the tables' contents, whatever the order in which rows were written.

    Each row's text is hashed with MD5 and the hashes are added, so that equal rows do not cancel.
    """
    digest = hashlib.sha256(VERSION.encode())
    for table in TYPES:
        query = f"SELECT count(*), sum(md5_number_lower(to_json(t)::VARCHAR)::HUGEINT) FROM {table} t"
        digest.update(f"{table} {connection.execute(query).fetchone()}".encode())
    return digest.hexdigest()


def has_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the store's tables exist (they are created together)."""
    return connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'ingest_log'").fetchone() is not None


def facts(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The table `meta` as a mapping."""
    return {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM meta").fetchall()}


DAMAGED: Final[str] = "is not a readable DuckDB store: move it away and run the ingest again"
DAMAGE: Final = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)
"""Errors that a broken file brings, while the others come from a statement."""


class DiskFullError(DataError):
    """No space left for the store; free some and retry."""


class StoreBusyError(DataError):
    """Another process writes to the store; wait and retry."""


@contextmanager
def opened(path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a store; every DuckDB failure within becomes one clear `DataError`.

    Raises
    ------
    DiskFullError, StoreBusyError
        The disk is full; another process writes to the file.
    DataError
        The file is no DuckDB database, or a statement failed.
    """
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        raise _clear(path, error, DAMAGED) from error
    try:
        if not read_only:
            connection.execute("SET memory_limit = '1GB'")
        yield connection
        connection.close()
    except duckdb.Error as error:
        raise _clear(path, error, DAMAGED if isinstance(error, DAMAGE) else "failed") from error
    finally:
        with suppress(duckdb.Error):  # the first error is the one to tell; closing twice does nothing
            connection.close()


def _clear(path: Path, error: duckdb.Error, what: str) -> DataError:
    text = str(error)
    if "No space left" in text or "not enough disk space" in text.lower():
        return DiskFullError(
            f"disk full while writing {path}: free some space and run again, what was finished is kept"
        )
    if "Conflicting lock" in text or "Could not set lock" in text:
        return StoreBusyError(f"another process is writing to {path}: wait until it ends and run again")
    return DataError(f"{path} {what} ({text.splitlines()[0] if text else type(error).__name__})")
