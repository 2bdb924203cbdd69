"""The broker on small markets: one rule a test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quant50.errors import DataError
from tests.difficult_market import difficult_market
from training.simulator.bars import MarketBars, market_bars, paid_dividend
from training.simulator.broker import DELISTING, Broker, split_quantity
from training.simulator.loop import Portfolio, simulate
from training.simulator.orders import Orders, Status

NAN = np.nan


def bars_of(
    open_: list[float], close: list[float], split: dict[int, float] | None = None,
    dividend: dict[int, float] | None = None, last: int = -1,
) -> MarketBars:  # fmt: skip
    """A market of one ticker."""
    n = len(open_)
    ratios, paid = np.ones((n, 1)), np.zeros((n, 1))
    for row, value in (split or {}).items():
        ratios[row] = value
    for row, value in (dividend or {}).items():
        paid[row] = value
    dates = np.datetime64("2018-01-01") + np.arange(n)
    return MarketBars(dates, ("A",), np.array([open_]).T, np.array([close]).T, ratios, paid, np.array([last]))


def orders(*quantities: int, column: int = 0, slippage: float = 0.0, cancel: tuple[int, ...] = ()) -> Orders:
    n = len(quantities)
    return Orders(
        np.full(n, column), np.array(quantities, dtype=np.int64), np.full(n, slippage), ["test"] * n,
        np.array(cancel, dtype=np.int64),
    )  # fmt: skip


def play(bars: MarketBars, script: dict[int, Orders], cash: float = 1000.0) -> tuple[Broker, list[float]]:
    """The broker after the last session and the equity of each."""
    broker, equity = Broker(bars, cash), []
    for row in range(len(bars.dates)):
        broker.open_session(row)
        equity.append(broker.equity(row))
        broker.submit(row, script.get(row, orders()))
    return broker, equity


def test_order_fills_at_next_open_with_slippage_and_fee_on_the_open() -> None:
    bars = bars_of([10, 20, 30], [11, 21, 31])
    seen: list[tuple[int, list[int], list[float]]] = []

    def fee(row: int, columns: np.ndarray, quantities: np.ndarray, opens: np.ndarray) -> np.ndarray:
        seen.append((row, quantities.tolist(), opens.tolist()))
        return np.where(quantities < 0, 0.25, 0.0)

    broker = Broker(bars, 1000.0, fee)
    for row, order in enumerate([orders(10, slippage=0.01), orders(-4, slippage=0.01), orders()]):
        broker.open_session(row)
        broker.submit(row, order)
    records = broker.orders.records()
    assert records["price"].tolist() == pytest.approx([20.2, 29.7])
    assert records["slippage"].tolist() == pytest.approx([2.0, 1.2])
    assert records["fee"].tolist() == [0.0, 0.25]
    assert (records["submitted"].tolist(), records["finished"].tolist()) == ([0, 1], [1, 2])
    assert seen == [(1, [10], [20.0]), (2, [-4], [30.0])]
    assert broker.cash == pytest.approx(1000 - 202 + 4 * 29.7 - 0.25)
    assert broker.equity(2) == pytest.approx(broker.cash + 6 * 31)


def test_order_waits_over_sessions_without_a_bar_and_can_be_cancelled() -> None:
    bars = bars_of([10, NAN, NAN, 13, 14], [10, NAN, NAN, 13, 14])
    broker, equity = play(bars, {0: orders(5), 1: orders(3), 2: orders(cancel=(2,))})
    records = broker.orders.records()
    assert records["id"].tolist() == [1, 2]
    assert records["finished"].tolist() == [3, 2]
    assert records["status"].tolist() == [Status.FILLED, Status.CANCELED]
    assert broker.shares.tolist() == [5]
    assert equity == pytest.approx([1000, 1000, 1000, 1000, 1005])
    assert [rows.tolist() for rows in broker.orders.processed] == [[1], [0]]
    with pytest.raises(DataError, match="cannot be cancelled"):
        broker.submit(4, orders(cancel=(1,)))


def test_hole_is_valued_at_the_last_close_and_split_on_a_hole_keeps_the_value() -> None:
    bars = bars_of([10, 10, NAN, 3], [10, 12, NAN, 4], split={2: 4.0})
    broker, equity = play(bars, {0: orders(10)})
    assert broker.shares.tolist() == [40]
    assert equity == pytest.approx([1000, 1020, 1020, 900 + 160])


def test_dividend_is_paid_on_old_shares_before_the_split() -> None:
    bars = bars_of([10, 10, 5], [10, 12, 5], split={2: 2.0}, dividend={2: 0.5})
    broker, _ = play(bars, {0: orders(10)})
    assert broker.cash == pytest.approx(900 + 10 * 0.5)
    assert (broker.shares.tolist(), broker.dividends, broker.cash_in_lieu) == ([20], 5.0, 0.0)


def test_fraction_at_a_split_is_paid_in_cash_at_the_last_close_in_new_units() -> None:
    bars = bars_of([10, 10, 7], [10, 12, 7], split={2: 1.5})
    broker, _ = play(bars, {0: orders(7)})
    assert broker.shares.tolist() == [10]
    assert broker.cash_in_lieu == pytest.approx(0.5 * 12 / 1.5)
    assert broker.cash == pytest.approx(930 + 4)


def test_rounding_of_the_ratio_costs_no_share() -> None:
    assert 100 * 1.15 < 115
    whole, fraction = split_quantity(np.array([100, -100]), np.array([1.15, 1.15]))
    assert whole.tolist() == [115, -115]
    assert fraction == pytest.approx([0.0, 0.0], abs=1e-9)


def test_open_order_goes_through_a_split_but_never_to_zero() -> None:
    bars = bars_of([10, 100], [10, 100], split={1: 0.1})
    broker, _ = play(bars, {0: orders(25, 9)}, cash=10_000.0)
    assert broker.orders.records()["quantity"].tolist() == [2, 9]
    assert broker.shares.tolist() == [11]
    short, _ = play(bars_of([10, 10, 100], [10, 10, 100], split={2: 0.1}), {0: orders(39), 1: orders(-19)})
    assert short.shares.tolist() == [3 - 1]


def test_delisted_holding_is_closed_at_the_last_close_without_fee() -> None:
    bars = bars_of([10, 10, NAN], [10, 12, NAN], split={2: 3.0}, dividend={2: 1.0}, last=1)  # too late to be paid
    broker = Broker(bars, 1000.0, lambda _row, columns, _quantities, _opens: np.ones(len(columns)))
    for row, order in enumerate([orders(10), orders(-3), orders(1)]):
        broker.open_session(row)
        broker.submit(row, order)
    assert broker.cash == pytest.approx(1000 - 101 + 120)
    assert broker.shares.tolist() == [0]
    records = broker.orders.records()
    assert records["status"].tolist() == [Status.FILLED, Status.REFUSED, Status.FILLED, Status.REFUSED]
    assert records["id"].tolist() == [1, 0, 2, 0]
    assert broker.orders.reasons[2] == DELISTING
    assert (records["fee"].tolist(), records["price"][2]) == ([1, 0, 0, 0], 12)


def test_order_before_the_first_bar_gets_no_id() -> None:
    broker, _ = play(bars_of([NAN, 10, 10], [NAN, 10, 10]), {0: orders(5), 1: orders(5)})
    assert broker.orders.records()["id"].tolist() == [0, 1]
    assert broker.orders.records()["status"].tolist() == [Status.REFUSED, Status.FILLED]


def test_order_that_crosses_zero_is_invalid_and_doubled_sales_make_a_short() -> None:
    bars = bars_of([10] * 5, [10] * 5)
    broker, _ = play(bars, {0: orders(5), 1: orders(-6, -5), 2: orders(4)})
    records = broker.orders.records()
    assert records["status"].tolist() == [Status.FILLED, Status.INVALID, Status.FILLED, Status.FILLED]
    assert (records["id"].tolist(), records["finished"].tolist()) == ([1, 2, 3, 4], [1, 1, 2, 3])
    assert [rows.tolist() for rows in broker.orders.processed] == [[0], [1], [2], [3]]
    assert broker.shares.tolist() == [4]
    doubled, _ = play(bars, {0: orders(5), 1: orders(-5, -5), 2: orders(6), 3: orders(5)})
    assert doubled.orders.records()["status"].tolist() == [3, 3, 3, Status.INVALID, 3]
    assert doubled.shares.tolist() == [0]


def test_dividend_is_rounded_half_up() -> None:
    assert paid_dividend(np.array([0.005, 0.145, 0.0249, 1.155, 0.0])).tolist() == [0.01, 0.15, 0.02, 1.16, 0.0]
    panel, last_session = difficult_market()
    bars = market_bars(panel, last_session)
    assert set(bars.dividend[:, panel.column("PLAIN")]) == {0.0, 0.34}
    assert set(bars.dividend[:, panel.column("PLAIN2")]) == {0.0, 0.21}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"open": np.ones((2, 1))}, "shape"),
        ({"last_session": np.array([0])}, "trades after its last session"),
        ({"split": np.zeros((3, 1))}, "splits must be positive"),
        ({"close": np.array([[10.0], [NAN], [10.0]])}, "both open and close"),
        ({"open": np.array([[10.0], [-1.0], [10.0]])}, "prices must be positive"),
        ({"dates": np.array(["2018-01-02", "2018-01-01", "2018-01-03"], dtype="datetime64[D]")}, "increasing"),
    ],
)
def test_contradictory_bars_are_refused(change: dict[str, object], says: str) -> None:
    bars = bars_of([10] * 3, [10] * 3)
    fields = {n: getattr(bars, n) for n in ("dates", "tickers", "open", "close", "split", "dividend", "last_session")}
    with pytest.raises(DataError, match=says):
        MarketBars(**{**fields, **change})


def test_contradictory_orders_are_refused() -> None:
    with pytest.raises(DataError, match="zero"):
        orders(5, 0)
    with pytest.raises(DataError, match="slippage"):
        orders(5, slippage=1.0)
    with pytest.raises(DataError, match="one length"):
        replace(orders(5), reason=[])
    with pytest.raises(DataError, match="no sessions"):
        simulate(bars_of([10], [10]), lambda _row, _portfolio: orders(), 1.0, start=1)
    with pytest.raises(DataError, match="cash"):
        simulate(bars_of([10], [10]), lambda _row, _portfolio: orders(), 0.0)


def test_strategy_cannot_change_the_ledger() -> None:
    def strategy(row: int, portfolio: Portfolio) -> Orders:
        portfolio.shares[:] = 99
        return orders(5) if row == 0 else orders()

    ledger = simulate(bars_of([10, 10, 10], [10, 10, 10]), strategy, 1000.0)
    assert ledger.shares.ravel().tolist() == [0, 5, 5]
