"""The trading loop: a strategy is asked at each close, its orders fill at the next open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Ints
from training.simulator.bars import MarketBars
from training.simulator.broker import Broker, Fee, no_fee
from training.simulator.orders import OrderRecords, Orders

DAY: Final = np.dtype(
    [
        ("equity", np.float64),  # USD at the close, after the fills of the session
        ("cash", np.float64),
        ("positions", np.int64),
        ("dividends", np.float64),  # USD received since the start
        ("cash_in_lieu", np.float64),  # USD received since the start for fractions of shares at splits
    ]
)


@dataclass(frozen=True)
class Portfolio:
    """What a strategy may know of its portfolio at a session's close.

    Attributes
    ----------
    shares : (N,) int64 shares held
    cash, equity : USD
    open_orders : structured array of type `training.simulator.orders.RECORD`, in order of id
    """

    shares: Ints
    cash: float
    equity: float
    open_orders: OrderRecords

    def pending(self) -> Ints:
        """Shares that the open orders would add or take away, (N,)."""
        pending = np.zeros_like(self.shares)
        np.add.at(pending, self.open_orders["column"], self.open_orders["quantity"])
        return pending


Strategy = Callable[[int, Portfolio], Orders]
"""`strategy(session row, portfolio at its close) -> orders` for the next open."""


@dataclass(frozen=True)
class Ledger:
    """Everything that happened in a simulation.

    Attributes
    ----------
    start : row of the first session
    days : (n,) structured array of type `DAY`, one element a session
    shares : (n, N) int64 shares held at each close
    orders : structured array of type `training.simulator.orders.RECORD`, in order of submission; rows of sessions and
        columns of tickers refer to the market's
    reasons : text of each order
    processed : rows of `orders` that were finished, in LEAN's order of processing
    """

    start: int
    days: NDArray[np.void]
    shares: Ints
    orders: OrderRecords
    reasons: tuple[str, ...]
    processed: Ints


def simulate(
    bars: MarketBars, strategy: Strategy, cash: float, fee: Fee = no_fee, start: int = 0, stop: int | None = None
) -> Ledger:
    """Trade a strategy over the sessions start … stop − 1.

    The strategy is called once a session, after the fills of its open; what it orders fills at the next open at which
    the ticker trades.

    Parameters
    ----------
    bars : the market
    strategy : see `Strategy`; it must look at rows up to the one it is given alone
    cash : USD at the start
    fee : fee of fills; see `training.simulator.broker.Fee`
    start, stop : rows of sessions; None stands for the last

    Raises
    ------
    DataError
        The range of sessions is empty or outside the market, or the cash is not positive.
    """
    stop = len(bars.dates) if stop is None else stop
    if not 0 <= start < stop <= len(bars.dates):
        raise DataError(f"simulation: no sessions in rows {start} to {stop} of {len(bars.dates)}")
    if not cash > 0:
        raise DataError(f"simulation: cash must be positive, not {cash}")
    broker = Broker(bars, cash, fee)
    days = np.zeros(stop - start, dtype=DAY)
    shares = np.zeros((stop - start, len(bars.tickers)), dtype=np.int64)
    for row in range(start, stop):
        broker.open_session(row)
        equity, held = broker.equity(row), shares[row - start]
        held[:] = broker.shares
        days[row - start] = (
            equity, broker.cash, np.count_nonzero(held), broker.dividends, broker.cash_in_lieu,
        )  # fmt: skip
        broker.submit(row, strategy(row, Portfolio(held.copy(), broker.cash, equity, broker.open_orders())))
    table = broker.orders
    processed = np.concatenate([np.zeros(0, dtype=np.int64), *table.processed])
    return Ledger(start, days, shares, table.records(), tuple(table.reasons), processed)
