"""Orders as they are given to the broker, and the table of what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Floats, Ints

OrderRecords = NDArray[np.void]
"""Structured array of type `RECORD`: one element an order."""

RECORD: Final = np.dtype(
    [
        ("id", np.int64),  # as LEAN counts, from 1; 0 where LEAN refuses the order before it has an id
        ("submitted", np.int64),  # row of the session after whose close it was submitted
        ("finished", np.int64),  # row of the session in which it was filled, cancelled or refused; −1 while open
        ("column", np.int64),
        ("quantity", np.int64),  # shares, negative for a sale; a split changes an open order's
        ("price", np.float64),  # USD per share with slippage, 0 if unfilled
        ("fee", np.float64),  # USD
        ("slippage_rate", np.float64),  # part of the open
        ("slippage", np.float64),  # USD paid for not trading at the open
        ("status", np.int64),
    ]
)


class Status(IntEnum):
    """What became of an order."""

    OPEN = 1
    FILLED = 3
    CANCELED = 5
    INVALID = 7
    """Refused at submission because it would turn a holding from long to short or back (Alpaca model)."""
    REFUSED = 9
    """Refused at submission before an id is given: no bar yet, delisted, or its last session."""


@dataclass(frozen=True)
class Orders:
    """Market-on-open orders of one session, in the order in which they get their ids.

    Attributes
    ----------
    column : (n,) int64 columns of the market
    quantity : (n,) int64 shares, negative for sales, never 0
    slippage : (n,) part of the fill session's open that a trade loses, decided on data up to the submission
    reason : n texts kept with the orders
    cancel : ids of open orders to cancel first

    Raises
    ------
    DataError
        Lengths disagree, a quantity is 0, or a slippage is outside [0, 1).
    """

    column: Ints
    quantity: Ints
    slippage: Floats
    reason: Sequence[str]
    cancel: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        """Check lengths and ranges."""
        n = len(self.column)
        if not n == len(self.quantity) == len(self.slippage) == len(self.reason):
            raise DataError("orders: column, quantity, slippage and reason must have one length")
        if not np.all(self.quantity):
            raise DataError("orders: a quantity is zero")
        if not np.all((self.slippage >= 0) & (self.slippage < 1)):
            raise DataError("orders: slippage must lie in [0, 1)")


def sales_first(quantity: Ints) -> Ints:
    """Sequence that puts sales before purchases and keeps each in column order (tickers are sorted).

    >>> sales_first(np.array([5, -2, 3, -1])).tolist()
    [1, 3, 0, 2]
    """
    return np.argsort(quantity > 0, kind="stable")


class OrderTable:
    """Growing table of all orders; rows are in order of submission."""

    def __init__(self) -> None:
        self._records = np.zeros(1024, dtype=RECORD)
        self._count = 0
        self.reasons: list[str] = []
        self.processed: list[Ints] = []

    def append(self, column: Ints, reasons: Sequence[str], **fields: Any) -> Ints:
        """Add orders; return their rows."""
        rows = np.arange(self._count, self._count + len(column))
        while self._count + len(column) > len(self._records):
            self._records = np.concatenate([self._records, np.zeros_like(self._records)])
        self._records["column"][rows] = column
        for name, values in fields.items():
            self._records[name][rows] = values
        self.reasons.extend(reasons)
        self._count += len(column)
        return rows

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One column of the table, as a view."""
        values: NDArray[Any] = self._records[name][: self._count]
        return values

    def finish(self, rows: Ints, session: int, status: Status) -> None:
        """Mark orders as finished, in LEAN's order of processing."""
        if len(rows):
            self["finished"][rows] = session
            self["status"][rows] = status
            self.processed.append(rows)

    def records(self, rows: Ints | None = None) -> OrderRecords:
        """A copy of the given rows, or of all."""
        records = self._records[: self._count]
        return records.copy() if rows is None else records[rows]
