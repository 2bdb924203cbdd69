"""The walk-forward backtest: it reads no future, repeats itself to the byte, and its money adds up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quant50 import costs
from quant50.errors import DataError
from quant50.groups import ETF_GROUPS, GROUPS, SECTORS
from quant50.optimizer import Optimizer
from quant50.session import HISTORY, LIQUIDITY_SESSIONS
from tests.training.small_market import (
    CASH,
    PARAMETERS,
    SmallMarket,
    decided,
    small_market,
    with_events,
    with_other_future,
)
from training.backtest import Backtest, ModelStrategy, optimizer_size, run_backtest
from training.prepared import Prepared
from training.run_record import record
from training.simulator.bars import market_bars
from training.simulator.broker import DELISTING
from training.simulator.loop import Portfolio, simulate
from training.simulator.orders import Orders, Status


@pytest.fixture(scope="module")
def market() -> SmallMarket:
    return small_market()


@pytest.fixture(scope="module")
def plain(market: SmallMarket) -> Backtest:
    return market.backtest()


@pytest.fixture(scope="module")
def eventful(market: SmallMarket, plain: Backtest) -> tuple[Prepared, Backtest]:
    """A backtest in which three stocks it holds split, are delisted and miss a session."""
    held = [n for n in np.flatnonzero(plain.ledger.shares[14] > 0) if not market.prepared.market.panel.is_etf[n]]
    row = market.start + 14
    prepared = with_events(market.prepared, (row + 1, held[0]), (row + 2, held[1]), (row + 1, held[2]))
    return prepared, market.backtest(prepared)


@pytest.mark.parametrize("seen", [0, 12, 27])
def test_no_decision_depends_on_a_later_session(market: SmallMarket, plain: Backtest, seen: int) -> None:
    other = market.backtest(with_other_future(market.prepared, market.start + seen, seed=seen))
    same = [
        decided(a) == decided(b) and np.array_equal(m, n)
        for a, b, m, n in zip(plain.decisions, other.decisions, plain.columns, other.columns, strict=True)
    ]
    assert all(same[: seen + 1])
    assert not any(same[seen + 1 :])


def test_trades_and_decides_at_every_session(market: SmallMarket, plain: Backtest) -> None:
    dates = market.prepared.market.panel.dates[market.start : market.stop]
    assert [d.date for d in plain.decisions] == [str(day) for day in dates]
    assert all(d.rung == 1 for d in plain.decisions)
    assert not any(d.violations for d in plain.decisions)
    filled = plain.ledger.orders[plain.ledger.orders["status"] == Status.FILLED]
    assert len(filled) > 100
    assert np.all(filled["finished"] > filled["submitted"])


def test_money_adds_up_session_by_session(eventful: tuple[Prepared, Backtest], market: SmallMarket) -> None:
    """Cash and equity rebuilt from the orders and the panel alone."""
    prepared, backtest = eventful
    panel, ledger = prepared.market.panel, backtest.ledger
    bars = market_bars(panel, prepared.market.last_session)
    assert DELISTING in ledger.reasons
    assert ledger.days["cash_in_lieu"][-1] > 0
    assert ledger.days["dividends"][-1] > 0
    filled, closing = ledger.orders["status"] == Status.FILLED, np.array(ledger.reasons) == DELISTING
    cash, paid, in_lieu, shares = CASH, 0.0, 0.0, np.zeros(len(panel.tickers))
    for day, row in enumerate(range(market.start, market.stop)):
        today = filled & (ledger.orders["finished"] == row)
        closed, done = ledger.orders[today & closing], ledger.orders[today & ~closing]
        np.add.at(shares, closed["column"], closed["quantity"])
        paid += float(shares @ bars.dividend[row])
        whole = np.floor(shares * panel.split[row] + 1e-9)
        left = (shares * panel.split[row] - whole) * np.nan_to_num(prepared.returns.close[row - 1]) / panel.split[row]
        in_lieu, shares = in_lieu + float(left.sum()), whole
        np.add.at(shares, done["column"], done["quantity"])
        cash -= sum(float(part["quantity"] @ part["price"] + part["fee"].sum()) for part in (closed, done))
        assert np.array_equal(shares, ledger.shares[day])
        assert ledger.days["cash"][day] == pytest.approx(cash + paid + in_lieu, abs=0.01)
        assert ledger.days["dividends"][day] == pytest.approx(paid, abs=0.01)
        value = float(shares @ np.nan_to_num(prepared.returns.close[row]))
        assert ledger.days["equity"][day] == pytest.approx(ledger.days["cash"][day] + value, abs=0.01)


def test_fills_lie_at_the_open_with_slippage_against_us(eventful: tuple[Prepared, Backtest]) -> None:
    prepared, backtest = eventful
    panel, orders = prepared.market.panel, backtest.ledger.orders
    chosen = (orders["status"] == Status.FILLED) & (np.array(backtest.ledger.reasons) != DELISTING)
    filled = orders[chosen]
    opens = panel.open[filled["finished"], filled["column"]]
    side = np.sign(filled["quantity"])
    assert filled["price"] == pytest.approx(opens * (1 + side * filled["slippage_rate"]), rel=1e-9)
    assert np.all(filled["slippage_rate"] > 0)
    expected = [
        costs.fees(panel.dates[order["finished"]], np.array([float(order["quantity"])]), np.array([price]), 1.0)[0]
        for order, price in zip(filled, opens, strict=True)
    ]
    assert filled["fee"] == pytest.approx(np.array(expected), abs=1e-9)
    assert filled["fee"].sum() > 0


def test_cost_multiplier_zero_trades_at_the_open_without_fees(market: SmallMarket, plain: Backtest) -> None:
    free = market.backtest(cost_multiplier=0.0)
    assert not free.ledger.orders["slippage"].any()
    assert not free.ledger.orders["fee"].any()
    assert plain.ledger.orders["slippage"].sum() > 0


def test_whole_shares_at_the_decision_keep_the_limits(market: SmallMarket, plain: Backtest) -> None:
    """By arithmetic: shares of the decision at the close, as fractions of the equity there."""
    panel, close = market.prepared.market.panel, market.prepared.returns.close
    caps = dict.fromkeys(SECTORS, PARAMETERS.sector_cap) | {
        "Unknown": PARAMETERS.unknown_sector_cap, "broad equity": PARAMETERS.broad_equity_cap,
        "bonds": PARAMETERS.bond_cap, "gold": PARAMETERS.gold_cap,
    }  # fmt: skip
    for day, (decision, columns) in enumerate(zip(plain.decisions, plain.columns, strict=True)):
        row = market.start + day
        weights = decision.shares * close[row, columns] / plain.ledger.days["equity"][day]
        assert decision.shares.dtype == np.int64
        assert np.all(decision.shares >= 0)
        assert np.count_nonzero(decision.shares) <= PARAMETERS.maximum_holdings
        is_etf = panel.is_etf[columns]
        assert np.all(weights <= np.where(is_etf, PARAMETERS.etf_cap, PARAMETERS.stock_cap) + 1e-9)
        assert weights.sum() <= decision.exposure_limit + 1e-9
        groups = [ETF_GROUPS.get(panel.tickers[n], GROUPS[panel.sector[row, n]]) for n in columns]
        for group in set(groups):
            assert weights[[other == group for other in groups]].sum() <= caps[group] + 1e-9
        assert decision.turnover_chosen <= decision.turnover_limit + 1e-9


def test_what_a_session_shows(market: SmallMarket) -> None:
    panel = market.prepared.market.panel
    strategy = ModelStrategy(market.prepared, market.scored(), PARAMETERS, None)  # type: ignore[arg-type]
    columns = np.arange(len(panel.tickers))
    session = strategy.session(market.stop - 1, columns)
    for n in np.flatnonzero(panel.is_etf):
        assert GROUPS[session.groups[n]] == ETF_GROUPS[panel.tickers[n]]
    assert np.array_equal(session.groups[~panel.is_etf], panel.sector[-1, ~panel.is_etf])
    assert not session.member[panel.is_etf].any()
    assert session.dates[-1] == panel.dates[-1]
    assert len(session.dates) == HISTORY
    assert not session.blocked.any()
    made = panel.close[-1] / panel.open[-1] - 1.0
    assert session.intraday[session.traded] == pytest.approx(made[session.traded])
    assert np.array_equal(session.close[session.traded], panel.close[-1][session.traded])
    traded = np.nan_to_num(panel.close * panel.volume)[-LIQUIDITY_SESSIONS:]
    assert session.dollar_volume == pytest.approx(traded)


def test_no_order_in_a_name_that_splits_next_session(market: SmallMarket, plain: Backtest) -> None:
    """A stock ordered on a day is given a split on the next: the order is gone, and nothing changes before."""
    day = next(d for d in range(10, 40) if plain.decisions[d].orders)
    row, decision = market.start + day, plain.decisions[day]
    stock = next(o for o in decision.orders if not market.prepared.market.panel.is_etf[plain.columns[day][o.column]])
    column = int(plain.columns[day][stock.column])
    far = market.stop - 1
    other = [n for n in range(len(market.prepared.market.panel.tickers)) if n != column]
    prepared = with_events(market.prepared, (row + 1, column), (far, other[0]), (far, other[1]))
    backtest = market.backtest(prepared)
    assert [decided(d) for d in backtest.decisions[:day]] == [decided(d) for d in plain.decisions[:day]]
    assert stock.ticker not in {order.ticker for order in backtest.decisions[day].orders}
    held = plain.ledger.shares[day, column]
    assert backtest.decisions[day].shares[np.flatnonzero(backtest.columns[day] == column)] == held


def test_open_orders_count_as_filled(market: SmallMarket, plain: Backtest) -> None:
    """An order that a hole leaves open is not given again: held, open and new orders make the target."""
    day = next(
        d for d in range(5, 40)
        if any(o.quantity > 0 and not market.prepared.market.panel.is_etf[plain.columns[d][o.column]]
               for o in plain.decisions[d].orders)
    )  # fmt: skip
    panel, row = market.prepared.market.panel, market.start + day
    bought = (int(plain.columns[day][o.column]) for o in plain.decisions[day].orders if o.quantity > 0)
    column = next(n for n in bought if not panel.is_etf[n])
    other = [n for n in range(len(panel.tickers)) if n != column]
    prepared = with_events(market.prepared, (market.stop - 1, other[0]), (market.stop - 1, other[1]), (row + 1, column))
    backtest = market.backtest(prepared)
    orders, held = backtest.ledger.orders, backtest.ledger.shares[day + 1, column]
    given = orders[(orders["submitted"] == row) & (orders["column"] == column)]
    again = orders[(orders["submitted"] == row + 1) & (orders["column"] == column)]
    target = backtest.decisions[day + 1].shares[backtest.columns[day + 1] == column][0]
    assert given["finished"].tolist() == [row + 2]
    assert held + given["quantity"].sum() + again["quantity"].sum() == target


def test_state_goes_from_session_to_session(market: SmallMarket, plain: Backtest) -> None:
    """The peak is never forgotten: it is the running maximum of equity."""
    size = optimizer_size(market.prepared, PARAMETERS)
    optimizer = Optimizer(size, PARAMETERS.covariance_factors, PARAMETERS)
    strategy = ModelStrategy(market.prepared, market.scored(), PARAMETERS, optimizer)
    bars = market_bars(market.prepared.market.panel, market.prepared.market.last_session)
    seen: list[tuple[str, float, set[str]]] = []
    calls: list[int] = []
    strategy.advance = calls.append

    def watched(row: int, portfolio: Portfolio) -> Orders:
        orders = strategy(row, portfolio)
        seen.append((strategy.state.last_decision, strategy.state.peak, set(strategy.state.marks)))
        return orders

    ledger = simulate(bars, watched, CASH, start=market.start, stop=market.start + 8)
    assert [day for day, _, _ in seen] == [d.date for d in plain.decisions[:8]]
    assert [peak for _, peak, _ in seen] == pytest.approx(np.maximum.accumulate(ledger.days["equity"]))
    panel = market.prepared.market.panel
    held = {panel.tickers[n] for n in np.flatnonzero(ledger.shares[-1])}
    assert seen[-1][2] >= held
    assert held
    assert calls == [1] * 8


def test_two_runs_write_the_same_bytes_but_for_the_timings(
    market: SmallMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.run_record.git_commit", lambda: "abc")  # others may commit while this runs
    for name in ("first/run", "second/run"):
        record(
            tmp_path / name, market.prepared, market.scored(), market.backtest(), PARAMETERS,
            cash=CASH, kind="lightgbm", trials=1,
        )  # fmt: skip
    files = sorted(path.name for path in (tmp_path / "first/run").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "second/run").iterdir())
    assert {"equity.parquet", "orders.parquet", "manifest.json", "metrics.json", "timings.json"} <= set(files)
    different = [
        name for name in files
        if (tmp_path / "first/run" / name).read_bytes() != (tmp_path / "second/run" / name).read_bytes()
    ]  # fmt: skip
    assert set(different) <= {"timings.json"}


def test_too_little_history_is_refused(market: SmallMarket) -> None:
    with pytest.raises(DataError, match=f"a decision needs {HISTORY}"):
        run_backtest(market.prepared, market.scored(), PARAMETERS, CASH, HISTORY - 1, HISTORY + 10)
