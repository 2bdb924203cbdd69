"""A broker that trades market-on-open orders on raw daily bars as LEAN's Alpaca model does in a backtest.

The rules are those of LEAN's engine (`Common/Orders/Fills/EquityFillModel.cs`, `Common/Securities/
SecurityPortfolioManager.cs`, `Common/Brokerages/AlpacaBrokerageModel.cs`) in float64, and recorded runs of that engine
are reproduced exactly (`training.simulator.replay`). Buying power is not checked: a strategy without leverage never
reaches LEAN's limit of two times equity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from quant50.errors import DataError
from quant50.panel import Floats, Ints
from training.simulator.bars import MarketBars
from training.simulator.orders import OrderRecords, Orders, OrderTable, Status

Fee = Callable[[int, Ints, Ints, Floats], Floats]
"""`fee(session row, columns (n,), quantities (n,), opens (n,)) -> (n,)` USD of fills at those opens."""

DELISTING: Final = "Liquidate from delisting"
"""Reason of an order by which LEAN closes a delisted holding."""


def no_fee(_row: int, columns: Ints, _quantities: Ints, _opens: Floats) -> Floats:
    """No fee on any order."""
    return np.zeros(len(columns))


def split_quantity(quantity: Ints, ratio: Floats) -> tuple[Ints, Floats]:
    """Whole shares after a split, truncated towards zero, and the fraction of a share left over.

    Parameters
    ----------
    quantity : (n,) shares before
    ratio : (n,) new shares per old share

    >>> whole, fraction = split_quantity(np.array([7, -7, 6]), np.array([1.5, 1.5, 1 / 3]))
    >>> whole.tolist(), fraction.round(9).tolist()
    ([10, -10, 2], [0.5, -0.5, 0.0])
    """
    exact = quantity * ratio
    # A ratio such as 1/3 has no exact float64: without rounding, six shares could become one.
    whole = np.trunc(np.round(exact, 9)).astype(np.int64)
    return whole, exact - whole


class Broker:
    """Cash, whole shares and open orders, moved from session to session.

    One session t is `open_session(t)`, then reading `equity(t)`, then `submit(t, orders)`.

    Parameters
    ----------
    bars : the market
    cash : USD at the start
    fee : fee of fills; see `Fee`

    Attributes
    ----------
    cash : USD
    shares : (N,) int64 shares held
    dividends, cash_in_lieu : USD received since the start
    """

    def __init__(self, bars: MarketBars, cash: float, fee: Fee = no_fee) -> None:
        self.bars = bars
        self.fee = fee
        self.cash = cash
        self.shares = np.zeros(len(bars.tickers), dtype=np.int64)
        self.dividends = 0.0
        self.cash_in_lieu = 0.0
        self.orders = OrderTable()
        self._open = np.zeros(0, dtype=np.int64)  # rows of the order table, in order of id
        self._last_id = 0

    def equity(self, row: int) -> float:
        """Cash and holdings at the last closes, in USD, after the fills of a session."""
        return self.cash + float(self.shares @ self.bars.mark[row])

    def open_orders(self) -> OrderRecords:
        """The open orders, in order of id."""
        return self.orders.records(self._open)

    def open_session(self, row: int) -> None:
        """Everything that happens before and at a session's open, in LEAN's sequence.

        Delisted holdings are closed at their last close, dividends paid, splits applied, orders filled.
        """
        self._close_delisted(row)
        self._pay_dividends(row)
        self._split(row)
        self._fill(row)

    def submit(self, row: int, orders: Orders) -> None:
        """Take the orders given after a session's close; cancellations first.

        An order for a ticker that has no bar yet or no session after this one gets no id (`Status.REFUSED`); one that
        would turn the present holding from long to short or back is `Status.INVALID`. Both are kept in the table.

        Raises
        ------
        DataError
            An id to cancel is not an open order.
        """
        self._cancel(row, orders.cancel)
        if not len(orders.column):
            return
        accepted = (self.bars.mark[row, orders.column] > 0) & ~self.bars.delisted(row)[orders.column]
        rows = self._append(row, orders.column, orders.quantity, orders.reason, accepted, orders.slippage)
        held = self.shares[orders.column]
        crossing = (held * orders.quantity < 0) & (np.abs(orders.quantity) > np.abs(held))
        self.orders.finish(rows[~accepted], row, Status.REFUSED)
        self.orders.finish(rows[accepted & crossing], row, Status.INVALID)
        self._open = np.concatenate([self._open, rows[accepted & ~crossing]])

    def _append(
        self, row: int, column: Ints, quantity: Ints, reasons: Sequence[str], accepted: Ints, slippage: Floats | float
    ) -> Ints:
        ids = np.where(accepted, self._last_id + np.cumsum(accepted), 0)
        self._last_id += int(np.count_nonzero(accepted))
        return self.orders.append(
            column, reasons, id=ids, submitted=row, finished=-1, quantity=quantity, slippage_rate=slippage,
            status=Status.OPEN,
        )  # fmt: skip

    def _cancel(self, row: int, ids: Ints) -> None:
        if not len(ids):
            return
        chosen = np.isin(self.orders["id"][self._open], ids)
        if np.count_nonzero(chosen) != len(ids):
            raise DataError(f"broker: not all of the orders {ids.tolist()} are open, so they cannot be cancelled")
        self.orders.finish(self._open[chosen], row, Status.CANCELED)
        self._open = self._open[~chosen]

    def _close_delisted(self, row: int) -> None:
        # No order can be open here: its last bar filled those submitted before, and the rest were refused.
        columns = np.flatnonzero((self.bars.last_session == row - 1) & (self.shares != 0))
        if not len(columns):
            return
        quantity = -self.shares[columns]
        price = self.bars.mark[row - 1, columns]
        rows = self._append(row, columns, quantity, [DELISTING] * len(columns), np.ones_like(columns), 0.0)
        self.orders["price"][rows] = price
        self.orders.finish(rows, row, Status.FILLED)
        self.cash -= float(quantity @ price)
        self.shares[columns] = 0

    def _pay_dividends(self, row: int) -> None:
        paid = float(self.shares @ self.bars.dividend[row])
        self.cash += paid
        self.dividends += paid

    def _split(self, row: int) -> None:
        ratio = self.bars.split[row]
        if not np.any(ratio != 1.0):
            return
        price = self.bars.mark[row - 1] / ratio if row else np.zeros_like(ratio)
        self.shares, fraction = split_quantity(self.shares, ratio)
        paid = float(fraction @ price)
        self.cash += paid
        self.cash_in_lieu += paid
        quantity = self.orders["quantity"][self._open]
        whole, _ = split_quantity(quantity, ratio[self.orders["column"][self._open]])
        # LEAN refuses to change an order to zero shares, so that order keeps its old number.
        self.orders["quantity"][self._open] = np.where(whole == 0, quantity, whole)

    def _fill(self, row: int) -> None:
        trades = self.bars.traded[row, self.orders["column"][self._open]]
        rows = self._open[trades]
        if not len(rows):
            return
        self._open = self._open[~trades]
        table = self.orders
        column, quantity = table["column"][rows], table["quantity"][rows]
        opens = self.bars.open[row, column]
        slippage = table["slippage_rate"][rows] * opens
        price = opens + np.sign(quantity) * slippage
        fee = self.fee(row, column, quantity, opens)
        table["price"][rows] = price
        table["fee"][rows] = fee
        table["slippage"][rows] = slippage * np.abs(quantity)
        table.finish(rows, row, Status.FILLED)
        self.cash -= float(quantity @ price) + float(fee.sum())
        np.add.at(self.shares, column, quantity)  # several orders of one ticker may fill together
