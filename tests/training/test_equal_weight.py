"""The equal-weight baseline: equal weights after each rebalancing, and costs that cost."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.small_market import SmallMarket, small_market, with_events
from training.backtest import regulatory_fee
from training.dataset import week_number
from training.equal_weight import CASH, INVESTED, EqualWeight, equal_weight
from training.prepared import Prepared
from training.simulator.bars import market_bars
from training.simulator.loop import Ledger, Portfolio, simulate
from training.simulator.orders import RECORD, Status


@pytest.fixture(scope="module")
def market() -> SmallMarket:
    return small_market()


def ledger(market: SmallMarket, multiplier: float, prepared: Prepared | None = None) -> Ledger:
    used = prepared or market.prepared
    bars = market_bars(used.market.panel, used.market.last_session)
    fee = regulatory_fee(used.market.panel.dates, multiplier)
    return simulate(bars, EqualWeight(used, multiplier), CASH, fee, market.start, market.stop)


def test_weights_are_equal_after_rebalancing(market: SmallMarket) -> None:
    """At the closes of decision: shares ordered and held are the members' equal part of 99 % of equity."""
    panel, close = market.prepared.market.panel, market.prepared.returns.close
    done = ledger(market, 1.0)
    last = market.start + np.flatnonzero(np.diff(week_number(panel.dates[market.start : market.stop])))
    assert len(last) >= 8
    for row in last:
        day = row - market.start
        member = panel.member[row] & ~panel.is_etf & np.isfinite(panel.close[row])
        value = done.shares[day + 1] * close[row] / done.days["equity"][day]
        assert value[member] == pytest.approx(INVESTED / member.sum(), rel=2e-3)
        assert not done.shares[day + 1][~member & np.isfinite(panel.close[row + 1])].any()


def test_trades_after_the_last_session_of_a_week_alone(market: SmallMarket) -> None:
    panel = market.prepared.market.panel
    stays = panel.member[market.start : market.stop].all(axis=0)
    orders = ledger(market, 1.0).orders
    rows = np.unique(orders["submitted"][stays[orders["column"]]])
    number = week_number(panel.dates)
    ends = [row for row in rows[1:] if row + 1 < len(number) and number[row] == number[row + 1]]
    assert rows[0] == market.start
    assert ends == []


def test_a_leaver_is_sold_at_once_and_a_delisted_one_closed(market: SmallMarket) -> None:
    panel = market.prepared.market.panel
    held = np.flatnonzero(panel.member[market.start : market.stop].all(axis=0))[:3]
    row = market.start + 12
    prepared = with_events(market.prepared, (row, held[0]), (row, held[1]), (row, held[2]))
    prepared.market.panel.member[row:, held[2]] = False  # leaves on a session without a bar
    done = ledger(market, 1.0, prepared)
    assert done.shares[row - market.start, held[1]] > 0
    assert done.shares[row - market.start + 1, held[1]] == 0
    assert done.shares[row - market.start + 1, held[2]] > 0
    assert done.shares[row - market.start + 2, held[2]] == 0
    assert (done.days["equity"] > 0).all()


def test_costs_lower_the_level_and_none_cost_nothing(market: SmallMarket) -> None:
    levels = [equal_weight(market.prepared, market.start, market.stop, m) for m in (0.0, 1.0, 2.0)]
    assert all(len(level) == market.stop - market.start for level in levels)
    assert levels[0][0] == levels[1][0] == CASH
    assert levels[0][-1] > levels[1][-1] > levels[2][-1]
    free, paid = ledger(market, 0.0), ledger(market, 1.0)
    assert not free.orders["fee"].any()
    assert not free.orders["slippage"].any()
    assert paid.orders["fee"].sum() > 0
    costs = paid.orders["fee"].sum() + paid.orders["slippage"].sum()
    assert levels[0][-1] - levels[1][-1] == pytest.approx(costs, rel=0.2)
    assert np.array_equal(paid.days["equity"], levels[1])


def test_level_follows_the_members_mean_return(market: SmallMarket) -> None:
    """Without costs, 99 % invested: within what weekly drift and the opens' gaps make."""
    panel, moves = market.prepared.market.panel, market.prepared.returns.total
    part = slice(market.start + 2, market.stop)
    member = panel.member[part] & ~panel.is_etf
    mean = np.nanmean(np.where(member, moves[part], np.nan), axis=1)
    levels = equal_weight(market.prepared, market.start, market.stop, 0.0)
    made = levels[2:] / levels[1:-1] - 1.0
    assert np.corrcoef(made, mean)[0, 1] > 0.99
    assert made.mean() == pytest.approx(INVESTED * mean.mean(), abs=2e-4)


def test_every_order_of_a_liquid_market_is_filled(market: SmallMarket) -> None:
    orders = ledger(market, 1.0).orders
    assert set(orders["status"][orders["submitted"] < market.stop - 2]) == {Status.FILLED}


def test_open_orders_count_as_held(market: SmallMarket) -> None:
    panel = market.prepared.market.panel
    row = market.start + int(np.flatnonzero(np.diff(week_number(panel.dates[market.start : market.stop])))[0])
    strategy, nothing = EqualWeight(market.prepared, 1.0), np.zeros(len(panel.tickers), dtype=np.int64)
    wanted = strategy(row, Portfolio(nothing, CASH, CASH, np.zeros(0, dtype=RECORD)))
    pending = np.zeros(1, dtype=RECORD)
    pending["column"], pending["quantity"] = wanted.column[0], 10
    rest = strategy(row, Portfolio(nothing, CASH, CASH, pending))
    assert rest.column.tolist() == wanted.column.tolist()
    assert (wanted.quantity - rest.quantity).tolist() == [10] + [0] * (len(wanted.column) - 1)
