"""Reading a finished store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from quant50.errors import DataError
from training.store import schema


@dataclass(frozen=True)
class Metadata:
    """What a store says of itself.

    Attributes
    ----------
    source, description : of the source it was made from
    simulated : whether the market is invented
    as_of : last day the source could know of
    fingerprint : of the source and of the version of tables and checks
    content_hash : SHA-256 of the contents
    """

    source: str
    description: str
    simulated: bool
    as_of: date
    fingerprint: str
    content_hash: str


def metadata(store: Path) -> Metadata:
    """What a store says of itself.

    Raises
    ------
    DataError
        No store there, not readable, or not complete.
    """
    with connected(store) as connection:
        facts = schema.facts(connection)
    return Metadata(
        source=facts["source"],
        description=facts["description"],
        simulated=facts["simulated"] == "1",
        as_of=date.fromisoformat(facts["as_of"]),
        fingerprint=facts["fingerprint"],
        content_hash=facts["content_hash"],
    )


@contextmanager
def connected(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a complete store.

    Raises
    ------
    DataError
        No store there, not readable, or not complete.
    """
    if not store.is_file():
        raise DataError(f"no market store at {store}: run the ingest first")
    with schema.opened(store, read_only=True) as connection:
        if not schema.has_tables(connection) or "content_hash" not in schema.facts(connection):
            raise DataError(f"{store} is not a complete market store: move it away and run the ingest again")
        yield connection
