"""Filling a staging file: one transaction for each step, with its row in `ingest_log`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from math import inf

import duckdb
import exchange_calendars
import pandas as pd

from quant50.errors import DataError
from training.sources.records import COLUMNS, Batch, Source
from training.store import checks, schema

TICKERS_PER_STEP = 50
"""Tickers whose bars are in memory at once while flags are sought."""

Progress = Callable[[str, int], None]
"""Called with the name of each finished step and the rows it added."""


def nyse_sessions(first: date, last: date) -> pd.DatetimeIndex:
    """Sessions of the New York Stock Exchange from first to last, both included."""
    if first == last:  # exchange_calendars wants a span
        return nyse_sessions(first, last + timedelta(days=7))[:1].intersection(pd.DatetimeIndex([first]))
    return pd.DatetimeIndex(exchange_calendars.get_calendar("XNYS", start=first, end=last).sessions)


class Build:
    """One ingest into an open staging file.

    Attributes
    ----------
    done, kept : steps written by this run, and found finished from an interrupted one
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: Source, progress: Progress | None) -> None:
        self.connection = connection
        self.source = source
        self.as_of: date = source.as_of
        self.progress = progress
        self.done = self.kept = 0
        self.seen: set[tuple[str, str]] = set()
        self.finished: set[tuple[str, str]] = set()

    def start(self, fingerprint: str) -> None:
        """Create the tables, or learn which steps an interrupted ingest has finished."""
        if schema.has_tables(self.connection):
            self.finished = set(self.connection.execute("SELECT table_name, key FROM ingest_log").fetchall())
            return
        facts = {
            "fingerprint": fingerprint,
            "source": self.source.name,
            "simulated": str(int(self.source.simulated)),
            "description": self.source.description,
            "as_of": self.as_of.isoformat(),
        }
        self.connection.begin()
        schema.create_tables(self.connection)
        self.connection.executemany("INSERT INTO meta VALUES (?, ?)", list(facts.items()))
        self.connection.commit()

    def step(self, table: str, key: str, write: Callable[[], tuple[int, int]]) -> None:
        """Write one piece and its log row in one transaction, unless it is finished already."""
        if (table, key) in self.seen:
            raise DataError(f"source {self.source.name} yields batch {key!r} of {table} twice: give each its own key")
        self.seen.add((table, key))
        if (table, key) in self.finished:
            self.kept += 1
            return
        self.connection.begin()
        accepted, rejected = write()
        self.connection.execute(
            "INSERT INTO ingest_log SELECT count(*), ?, ?, ?, ? FROM ingest_log", [table, key, accepted, rejected]
        )
        self.connection.commit()
        self.done += 1
        if self.progress is not None:
            self.progress(f"{table} {key}", accepted)

    def write(self, batch: Batch) -> tuple[int, int]:
        """Rows of a batch to its table or, with the reason, to quarantine; counts of both."""
        frame = checks.normalised(batch.frame)
        reasons = checks.rejections(batch.table, frame, self.as_of, self._known(batch.table, frame))
        accepted = frame[reasons == ""]
        self._insert(batch.table, accepted)
        rejected = self._quarantine(batch.table, frame[reasons != ""], reasons[reasons != ""])
        return len(accepted), rejected

    def finish(self) -> None:
        """The checks that need several tables, the flags, and the store's own facts."""
        span = self.connection.execute("SELECT min(date), max(date) FROM bars").fetchone()
        if span is None or span[0] is None:
            raise DataError(f"source {self.source.name} yields no valid bars: check its date range and its files")
        self.step("sessions", "all", lambda: self._write_sessions(*span))
        for table in ("actions", "renames"):
            self.step("listing", table, lambda table=table: self._reject_outside_listing(table))  # type: ignore[misc]
        tickers = [
            str(row[0]) for row in self.connection.execute("SELECT DISTINCT ticker FROM bars ORDER BY 1").fetchall()
        ]
        for start in range(0, len(tickers), TICKERS_PER_STEP):
            piece = tickers[start : start + TICKERS_PER_STEP]
            self.step("flags", f"{piece[0]}..{piece[-1]}", lambda piece=piece: self._write_flags(piece))  # type: ignore[misc]
        self.step("meta", "content hash", self._write_hash)

    def _write_sessions(self, first: date, last: date) -> tuple[int, int]:
        frame = pd.DataFrame({"date": nyse_sessions(first, last)})
        self._insert("sessions", frame)
        return len(frame), 0

    def _reject_outside_listing(self, table: str) -> tuple[int, int]:
        frame = self.connection.execute(f"SELECT * FROM {table} ORDER BY ALL").df()
        reasons = checks.outside_listing(frame, self.connection.execute("SELECT * FROM assets").df())
        self.connection.execute(f"DELETE FROM {table}")
        self._insert(table, frame[reasons == ""])
        return 0, self._quarantine(table, frame[reasons != ""], reasons[reasons != ""])

    def _write_flags(self, tickers: list[str]) -> tuple[int, int]:
        where = "WHERE ticker BETWEEN ? AND ?"
        bounds = [tickers[0], tickers[-1]]
        bars = self.connection.execute(f"SELECT ticker, date, close FROM bars {where} ORDER BY ALL", bounds).df()
        actions = self.connection.execute(f"SELECT ticker, date FROM actions {where}", bounds).df()
        assets = self.connection.execute(f"SELECT ticker, first_date, last_date FROM assets {where}", bounds).df()
        sessions = pd.DatetimeIndex(self.connection.execute("SELECT date FROM sessions ORDER BY 1").df()["date"])
        found = checks.flags(bars, actions, assets, sessions)
        self._insert("flags", found)
        return len(found), 0

    def _write_hash(self) -> tuple[int, int]:
        digest = schema.content_hash(self.connection)
        self.connection.execute("INSERT INTO meta VALUES ('content_hash', ?)", [digest])
        return 1, 0

    def _known(self, table: str, frame: pd.DataFrame) -> set[tuple[object, ...]]:
        columns = ["date", "ticker"] if table == "index_holdings" else list(checks.KEYS[table])
        self.connection.register(
            "incoming", frame[columns].astype({c: "string" for c in columns if c in ("ticker", "kind")})
        )
        condition = " AND ".join(f"t.{c} = incoming.{c}" for c in columns)
        listed = ", ".join(f"t.{c}" for c in columns)
        rows = self.connection.execute(f"SELECT DISTINCT {listed} FROM {table} t JOIN incoming ON {condition}").df()
        self.connection.unregister("incoming")
        return set(rows.itertuples(index=False, name=None))

    def _insert(self, table: str, frame: pd.DataFrame) -> None:
        columns = list(COLUMNS.get(table, tuple(frame.columns)))
        if frame.empty:
            return
        self.connection.register("incoming", frame)
        try:
            self.connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns)} FROM incoming"
            )
        except (duckdb.ConversionException, duckdb.BinderException) as error:
            raise DataError(f"source {self.source.name}, table {table}: {str(error).splitlines()[0]}") from error
        finally:
            self.connection.unregister("incoming")

    def _quarantine(self, table: str, frame: pd.DataFrame, reasons: checks.Reasons) -> int:
        records = frame.astype(object).to_dict(orient="records")
        names = checks.KEYS[table]
        rows = pd.DataFrame(
            {
                "table_name": table,
                "key": [" ".join(str(_plain(record[name])) for name in names) for record in records],
                "reason": reasons,
                "record": [json.dumps({str(k): _plain(v) for k, v in record.items()}) for record in records],
            }
        )
        self._insert("quarantine", rows)
        return len(rows)


def _plain(value: object) -> object:
    """A value as JSON knows it; a missing one as None, an odd one as text."""
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    return value if isinstance(value, bool | int | float | str) and value not in (inf, -inf) else str(value)
