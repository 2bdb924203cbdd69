"""Ingest: from a source into the store, so that a kill at any moment loses nothing.

The new store grows in a staging file beside the old one, one transaction per step, each with its row in `ingest_log`:
a killed ingest leaves the old store untouched and the next run goes on after the last finished step. Only the complete
staging file, checkpointed and synced, takes the store's name, by one rename.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import duckdb

from quant50.errors import DataError
from training.sources.records import Source
from training.store import schema
from training.store.build import Build, Progress
from training.store.reader import metadata


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest did.

    Attributes
    ----------
    store : the file
    status : 'created', 'replaced' (the source had changed), or 'unchanged' (nothing to do)
    steps_done, steps_kept : steps written by this run, and found finished from an interrupted one
    restarted : why an interrupted ingest was thrown away and begun anew, '' if it was not
    rows : rows of each table
    rejected : rows in quarantine by (table, reason)
    flagged : rows that were kept, by kind of flag
    content_hash : SHA-256 of the store's contents
    """

    store: Path
    source: str
    simulated: bool
    description: str
    status: str
    steps_done: int
    steps_kept: int
    restarted: str
    rows: dict[str, int]
    rejected: dict[tuple[str, str], int]
    flagged: dict[str, int]
    content_hash: str


def staging_path(store: Path) -> Path:
    """The file an ingest grows before it takes the store's name."""
    return store.with_name(store.name + ".building")


def ingest(source: Source, store: Path, progress: Progress | None = None) -> IngestSummary:
    """Bring a store to what a source yields; does nothing if the store holds just that.

    Raises
    ------
    DataError
        The store is corrupt, the disk is full, another ingest is running, or the source yields no bars or wrong types.
    """
    fingerprint = f"{schema.VERSION} {source.fingerprint()}"
    status = "created"
    if store.exists():
        if metadata(store).fingerprint == fingerprint:
            return _summary(store, "unchanged", 0, 0, "")
        status = "replaced"
    store.parent.mkdir(parents=True, exist_ok=True)
    staging = staging_path(store)
    restarted = _discard_unusable(staging, fingerprint)
    with schema.opened(staging, read_only=False) as connection:
        build = Build(connection, source, progress)
        build.start(fingerprint)
        for batch in source.batches():
            build.step(batch.table, batch.key, lambda batch=batch: build.write(batch))  # type: ignore[misc]
        build.finish()
        connection.execute("CHECKPOINT")
    _publish(staging, store)
    return _summary(store, status, build.done, build.kept, restarted)


def _discard_unusable(staging: Path, fingerprint: str) -> str:
    """Remove a staging file that is corrupt or of another source; why, '' if there was none such."""
    reason = ""
    if staging.exists():
        try:
            with schema.opened(staging, read_only=False) as connection:
                if schema.has_tables(connection) and schema.facts(connection).get("fingerprint") != fingerprint:
                    reason = "the source had changed since the interrupted ingest"
        except (schema.DiskFullError, schema.StoreBusyError):
            raise
        except DataError as error:
            reason = str(error)
    if reason or not staging.exists():
        for path in (staging, Path(f"{staging}.wal")):
            path.unlink(missing_ok=True)
    return reason


def _publish(staging: Path, store: Path) -> None:
    """Give the complete staging file the store's name, and make the name survive a power failure."""
    staging.replace(store)
    folder = os.open(store.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _summary(store: Path, status: str, done: int, kept: int, restarted: str) -> IngestSummary:
    facts = metadata(store)
    with schema.opened(store, read_only=True) as connection:
        rows = {table: _count(connection, table) for table in schema.TYPES}
        rejected = connection.execute(
            "SELECT table_name, reason, count(*) FROM quarantine GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        flagged = connection.execute("SELECT kind, count(*) FROM flags GROUP BY ALL ORDER BY ALL").fetchall()
    return IngestSummary(
        store=store,
        source=facts.source,
        simulated=facts.simulated,
        description=facts.description,
        status=status,
        steps_done=done,
        steps_kept=kept,
        restarted=restarted,
        rows=rows,
        rejected={(str(table), str(reason)): int(count) for table, reason, count in rejected},
        flagged={str(kind): int(count) for kind, count in flagged},
        content_hash=facts.content_hash,
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0
