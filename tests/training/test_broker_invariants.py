"""Invariants of the trading loop on random markets and on the difficult one, from the records alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.difficult_market import CLOSE_LAST, HALT, LISTED, SPLIT, difficult_market
from training.simulator.bars import MarketBars, market_bars
from training.simulator.broker import DELISTING
from training.simulator.loop import Ledger, Portfolio, simulate
from training.simulator.orders import Orders, Status

NAN = np.nan


def random_ledger(seed: int, bars: MarketBars) -> Ledger:
    """Random holdings changes that net open orders, on any market."""
    random = np.random.default_rng(seed)

    def strategy(row: int, portfolio: Portfolio) -> Orders:
        cancel = portfolio.open_orders["id"][random.random(len(portfolio.open_orders)) < 0.3]
        kept = ~np.isin(portfolio.open_orders["id"], cancel)
        pending = replace(portfolio, open_orders=portfolio.open_orders[kept]).pending()
        wanted = random.integers(0, 60, len(bars.tickers)) * (random.random(len(bars.tickers)) < 0.7)
        delta = np.where(random.random(len(bars.tickers)) < 0.5, wanted - portfolio.shares - pending, 0)
        column = np.flatnonzero(delta)
        return Orders(column, delta[column], random.uniform(0, 0.002, len(column)), ["random"] * len(column), cancel)

    def fee(_row: int, _columns: np.ndarray, quantities: np.ndarray, opens: np.ndarray) -> np.ndarray:
        return np.where(quantities < 0, np.ceil(-quantities * opens * 0.01) / 100, 0.0)

    return simulate(bars, strategy, 50_000.0, fee)


@st.composite
def markets(draw: st.DrawFn) -> MarketBars:
    """One to four tickers over 5 to 25 sessions with holes, late listings, delistings, splits and dividends."""
    n, t = draw(st.integers(1, 4)), draw(st.integers(5, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    open_, close = random.uniform(5, 300, (2, t, n)).round(2)
    absent = random.random((t, n)) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    last = np.full(n, -1)
    for column in range(n):
        absent[: random.integers(0, 3), column] = True
        if random.random() < 0.4:
            last[column] = random.integers(2, t)
            absent[last[column], column] = False
            absent[last[column] + 1 :, column] = True
    open_[absent], close[absent] = NAN, NAN
    split = np.where(random.random((t, n)) < 0.08, random.choice([2.0, 1.5, 0.1, 1 / 3, 7.0], (t, n)), 1.0)
    dividend = np.where(random.random((t, n)) < 0.1, random.uniform(0, 2, (t, n)).round(2), 0.0)
    dates = np.datetime64("2019-01-01") + np.arange(t)
    return MarketBars(dates, tuple("ABCD"[:n]), open_, close, split, dividend, last)


def check_conservation(bars: MarketBars, ledger: Ledger) -> None:
    """Equity is the start plus price gains plus dividends less fees and slippage; computed from the records alone."""
    records, shares = ledger.orders, ledger.shares
    equity = 50_000.0
    held = np.zeros(len(bars.tickers), dtype=np.int64)
    for row in range(len(bars.dates)):
        before = bars.mark[row - 1] if row else np.zeros(len(bars.tickers))
        fills = records[(records["status"] == Status.FILLED) & (records["finished"] == row)]
        gone = bars.last_session == row - 1
        kept = np.where(gone, 0, held)  # closed before anything else: no dividend, no split
        equity += float(kept @ bars.dividend[row])
        # Old shares gain from the old close to the new one in old units; the fraction at a split gains nothing.
        whole = np.trunc(np.round(kept * bars.split[row], 9))
        equity += float(whole @ (bars.mark[row] - before / bars.split[row]))
        for fill in fills:
            if gone[fill["column"]]:
                continue
            opened = bars.open[row, fill["column"]]
            equity += fill["quantity"] * (bars.mark[row, fill["column"]] - opened) - fill["fee"] - fill["slippage"]
        held = shares[row]
        day = ledger.days[row]
        assert day["equity"] == pytest.approx(equity, abs=1e-6)
        assert day["equity"] == pytest.approx(day["cash"] + held @ bars.mark[row], abs=1e-6)
        assert day["positions"] == np.count_nonzero(held)


def check_records(bars: MarketBars, ledger: Ledger) -> None:
    """No fill without a bar, none before the next session, none missed, ids and processing complete."""
    records = ledger.orders
    reasons = np.array(ledger.reasons, dtype=object)
    accepted = records[records["id"] > 0]
    assert accepted["id"].tolist() == list(range(1, len(accepted) + 1))
    assert len(reasons) == len(records)
    normal = reasons != DELISTING
    assert np.all(bars.last_session[records["column"][~normal]] == records["finished"][~normal] - 1)
    for record in records[normal]:
        after = bars.traded[record["submitted"] + 1 :, record["column"]]
        following = record["submitted"] + 1 + int(np.argmax(after)) if after.any() else -1
        if record["status"] == Status.FILLED:
            assert record["finished"] == following
        elif record["status"] == Status.CANCELED:
            assert record["submitted"] < record["finished"]
            assert following == -1 or record["finished"] < following
        elif record["status"] == Status.OPEN:
            assert (following, record["finished"]) == (-1, -1)
        else:
            assert record["finished"] == record["submitted"]
        assert (record["price"] > 0) == (record["status"] == Status.FILLED)
    done = records["status"] != Status.OPEN
    assert sorted(ledger.processed) == np.flatnonzero(done).tolist()
    assert np.all(np.diff(records["finished"][ledger.processed]) >= 0)


@given(bars=markets(), seed=st.integers(0, 2**32 - 1))
def test_money_is_conserved_and_records_are_consistent(bars: MarketBars, seed: int) -> None:
    ledger = random_ledger(seed, bars)
    check_conservation(bars, ledger)
    check_records(bars, ledger)


@given(bars=markets(), seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 24))
def test_future_bars_change_no_past_record(bars: MarketBars, seed: int, cut: int) -> None:
    cut = min(cut, len(bars.dates) - 1)
    price = np.where(np.arange(len(bars.dates))[:, None] > cut, 3.0, 1.0)
    other = MarketBars(
        bars.dates, bars.tickers, bars.open * price, bars.close * price, bars.split, bars.dividend, bars.last_session
    )
    first, second = random_ledger(seed, bars), random_ledger(seed, other)
    assert np.array_equal(first.days[: cut + 1], second.days[: cut + 1])
    assert np.array_equal(first.shares[: cut + 1], second.shares[: cut + 1])


@given(
    quantity=st.integers(1, 10_000),
    close=st.floats(0.01, 5000),
    ratio=st.sampled_from([2.0, 3.0, 7.0, 1.5, 1.25, 1 / 3, 0.1, 0.05, 0.8]),
)
def test_split_conserves_value(quantity: int, close: float, ratio: float) -> None:
    prices, split = np.array([[close], [close], [NAN]]), np.array([[1.0], [1.0], [ratio]])
    dates = np.datetime64("2018-01-01") + np.arange(3)
    bars = MarketBars(dates, ("A",), prices, prices, split, np.zeros((3, 1)), np.array([-1]))

    def strategy(row: int, _portfolio: Portfolio) -> Orders:
        n = 1 if row == 0 else 0
        return Orders(np.zeros(n, dtype=np.int64), np.full(n, quantity), np.zeros(n), ["buy"] * n)

    ledger = simulate(bars, strategy, quantity * close + 1)
    assert ledger.days["equity"][2] == pytest.approx(ledger.days["equity"][1], rel=1e-12)
    assert 0 <= quantity * ratio - ledger.shares[2, 0] + 1e-9 < 1
    assert ledger.days["cash_in_lieu"][2] < close / ratio


def test_difficult_market_is_traded_through() -> None:
    panel, last_session = difficult_market()
    bars = market_bars(panel, last_session)
    ledger = random_ledger(7, bars)
    check_conservation(bars, ledger)
    check_records(bars, ledger)
    column = {ticker: panel.column(ticker) for ticker in panel.tickers}
    assert not ledger.shares[CLOSE_LAST + 1 :, column["DELIST"]].any()
    assert not ledger.shares[: LISTED + 1, column["LATE"]].any()
    assert np.ptp(ledger.shares[HALT.start - 1 : HALT.stop, column["HALT"]]) == 0
    assert np.any(ledger.shares[SPLIT] != ledger.shares[SPLIT - 1])
