"""The tables of a run folder: their columns, and Parquet files that depend on the content alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quant50.errors import DataError

DATE, NUMBER, POSITIVE, INTEGER, TEXT = "date", "number", "positive number", "whole number", "text"
OPTIONAL_DATE, OPTIONAL_NUMBER = "date or none", "number or none"

TABLES: Final[dict[str, dict[str, str]]] = {
    "equity": {
        "date": DATE,
        "equity": POSITIVE,
        "cash": NUMBER,
        "positions": INTEGER,
        "invested": NUMBER,
        "turnover_chosen": NUMBER,
        "turnover_forced": NUMBER,
        "benchmark": POSITIVE,
        "tbill": NUMBER,
        "guard_exposure": NUMBER,
    },
    "orders": {
        "id": INTEGER,
        "decision_date": DATE,
        "fill_date": OPTIONAL_DATE,
        "ticker": TEXT,
        "quantity": INTEGER,
        "filled": INTEGER,
        "decision_price": OPTIONAL_NUMBER,
        "fill_price": OPTIONAL_NUMBER,
        "slippage": NUMBER,
        "fee": NUMBER,
        "status": TEXT,
        "reason": TEXT,
    },
    "holdings": {
        "date": DATE,
        "ticker": TEXT,
        "shares": INTEGER,
        "close": OPTIONAL_NUMBER,
        "weight": NUMBER,
        "group": TEXT,
        "score": OPTIONAL_NUMBER,
    },
    "decisions": {
        "date": DATE,
        "rung": INTEGER,
        "status": TEXT,
        "holdings": INTEGER,
        "predicted_volatility": OPTIONAL_NUMBER,
        "exposure_limit": OPTIONAL_NUMBER,
        "turnover_chosen": NUMBER,
        "turnover_forced": NUMBER,
        "model": TEXT,
        "solve_error": TEXT,
    },
    "rules": {"date": DATE, "ticker": TEXT, "rule": TEXT, "detail": TEXT},
}
"""Columns of each Parquet file in their order, and what a cell may hold; numbers are finite, 'or none' admits NaN."""

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "equity": ("date",),
    "orders": ("id",),
    "holdings": ("date", "ticker"),
    "decisions": ("date",),
    "rules": (),
}
"""Columns whose values name a row: no two rows share them."""

_ARROW: Final[dict[str, pa.DataType]] = {
    DATE: pa.date32(),
    OPTIONAL_DATE: pa.date32(),
    NUMBER: pa.float64(),
    POSITIVE: pa.float64(),
    OPTIONAL_NUMBER: pa.float64(),
    INTEGER: pa.int64(),
    TEXT: pa.string(),
}


def check(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns in order and their exact types; dates are midnight datetime64[ns] without a zone.

    Raises
    ------
    DataError
        Columns are missing or unknown, a cell is of the wrong kind, dates go backwards or a key occurs twice.
    """
    kinds = TABLES[name]
    missing, unknown = [c for c in kinds if c not in frame.columns], [str(c) for c in frame.columns if c not in kinds]
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise DataError(f"table {name} {' and '.join(parts)}")
    checked = pd.DataFrame(
        {c: _column(f"{name}.{c}", frame[c].reset_index(drop=True), kind) for c, kind in kinds.items()}
    )
    order = "decision_date" if name == "orders" else "date"
    if not checked[order].is_monotonic_increasing:
        raise DataError(f"table {name} is not sorted by {order}")
    keys = list(KEYS[name])
    if keys and checked.duplicated(keys).any():
        row = checked.loc[checked.duplicated(keys), keys].iloc[0]
        raise DataError(f"table {name} holds {', '.join(f'{k} {_plain(row[k])}' for k in keys)} twice")
    return checked


def _plain(value: object) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else str(value)


def _column(name: str, column: Any, kind: str) -> Any:
    """One column converted to its kind, or DataError with the first row that does not fit."""
    try:
        if kind in (DATE, OPTIONAL_DATE):
            values = pd.to_datetime(column).dt.tz_localize(None).dt.normalize().astype("datetime64[ns]")
            bad = values.isna() if kind == DATE else pd.Series(False, index=column.index)
        elif kind == TEXT:
            values, bad = column.astype(object), ~column.map(lambda cell: isinstance(cell, str)).astype(bool)
        else:
            numbers = column.to_numpy(dtype=np.float64)
            wrong = ~np.isfinite(numbers)
            if kind == OPTIONAL_NUMBER:
                wrong = np.isinf(numbers)
            elif kind == POSITIVE:
                wrong |= ~(numbers > 0)
            elif kind == INTEGER:
                wrong |= numbers != np.round(numbers)
            bad = pd.Series(wrong, index=column.index)
            values = column.astype("int64" if kind == INTEGER and not wrong.any() else "float64")
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise DataError(f"column {name} must hold a {kind} in every row, not {column.dtype}") from None
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise DataError(f"column {name} must hold a {kind} in every row; row {row} holds {column.iloc[row]!r}")
    return values


def write_table(path: Path, name: str, frame: pd.DataFrame) -> None:
    """Write one checked table as Parquet; equal tables give equal bytes (fixed schema and options, no metadata)."""
    schema = pa.schema([pa.field(column, _ARROW[kind]) for column, kind in TABLES[name].items()])
    table = pa.Table.from_pandas(check(name, frame), schema=schema, preserve_index=False)
    pq.write_table(
        table, path, compression="zstd", compression_level=3, version="2.6", data_page_version="1.0",
        row_group_size=1 << 20, use_dictionary=True, write_statistics=True, store_schema=False,
    )  # fmt: skip


def read_table(path: Path, name: str) -> pd.DataFrame:
    """Read and check one table; DataError where the file is missing, no Parquet, or not this table."""
    if not path.is_file():
        raise DataError(f"{path.name} is missing from {path.parent}")
    try:
        frame = pq.read_table(path).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    return check(name, frame)
