"""The decision: hand-made sessions for each rule, random sessions for the limits, and a difficult market day by day."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant50.covariance import ledoit_wolf
from quant50.decision import Decision, decide, linear_cost
from quant50.errors import DataError
from quant50.groups import GROUPS
from quant50.limits import volatility
from quant50.optimizer import Optimizer
from quant50.panel import returns as panel_returns
from quant50.parameters import Parameters
from quant50.session import Holdings, Session
from quant50.state import Mark, State
from tests.difficult_market import difficult_market

PARAMETERS = Parameters()
NAMES = 14
CALENDAR = np.busday_offset("2015-01-01", np.arange(400), roll="forward").astype("datetime64[D]")


@cache
def optimizer(iteration_limit: int = 200) -> Optimizer:
    return Optimizer(24, 8, PARAMETERS, iteration_limit)


def make_session(seed: int = 0, day: int = 300, names: int = NAMES, **changes: Any) -> Session:
    """Two ETFs and stocks of several sectors with one common factor."""
    random = np.random.default_rng(seed)
    market = 0.007 * random.standard_normal(252)
    returns = market[:, None] * random.uniform(0.6, 1.4, names) + 0.01 * random.standard_normal((252, names))
    etf = np.arange(names) < 2
    values: dict[str, Any] = {
        "dates": CALENDAR[day - 251 : day + 1],
        "tickers": tuple(f"T{i:02d}" for i in range(names)),
        "close": random.uniform(20, 300, names),
        "traded": np.ones(names, bool),
        "returns": returns,
        "intraday": np.zeros(names),
        "market": market,
        "dollar_volume": np.full((21, names), 3e8),
        "scores": random.standard_normal(names),
        "member": ~etf,
        "constituent": ~etf,
        "is_etf": etf,
        "groups": np.where(etf, [12, 13] + [0] * (names - 2), np.arange(names) % 6),
        "blocked": np.zeros(names, bool),
        "ic": 0.05,
        "ic_standard_error": 0.01,
    }
    return Session(**{**values, **changes})


def make_holdings(session: Session, weights: dict[int, float], equity: float = 1e6) -> Holdings:
    shares = np.zeros(len(session.tickers), dtype=np.int64)
    for column, weight in weights.items():
        shares[column] = int(weight * equity / session.close[column])
    return Holdings(shares, equity - float(shares @ session.close), equity, np.zeros_like(shares))


def marks_of(session: Session, holdings: Holdings, **changes: Mark) -> State:
    held = [session.tickers[i] for i in np.flatnonzero(holdings.shares)]
    return State(
        last_decision=str(session.dates[-2]),
        peak=holdings.equity,
        guard_peak=holdings.equity,
        marks={**{ticker: Mark() for ticker in held}, **changes},
    )


def check_limits(session: Session, holdings: Holdings, decision: Decision, parameters: Parameters = PARAMETERS) -> None:
    """Every limit on whole shares at the close of t, stated again without the code under test."""
    weights = decision.shares * session.close / holdings.equity
    before = (holdings.shares + holdings.open_quantity) * session.close / holdings.equity
    free = session.traded & ~session.blocked
    caps = np.where(session.is_etf, 0.15, 0.05)
    ordered = np.zeros(len(weights), dtype=np.int64)
    for order in decision.orders:
        ordered[order.column] = order.quantity
    assert (weights >= 0).all()
    assert (weights <= caps + 1e-9)[free].all()
    assert not ordered[~free].any()
    assert ((holdings.shares + np.minimum(holdings.open_quantity, 0) + ordered) >= 0)[ordered < 0].all()
    assert decision.turnover_chosen <= decision.turnover_limit + 1e-9
    if free.all():
        sums = np.bincount(session.groups, weights=weights, minlength=len(GROUPS))
        assert sums[:11].max() <= 0.25 + 1e-9
        assert weights.sum() <= 0.99 * decision.exposure + 1e-9
        assert np.count_nonzero(weights) <= parameters.maximum_holdings
        assert decision.predicted_volatility <= parameters.volatility_limit + 1e-9
        moves = weights - before
        total = 0.5 * (np.abs(moves).sum() + abs(moves.sum()))
        assert total <= decision.turnover_chosen + decision.turnover_forced + 1e-9


def test_first_decision_buys_within_every_limit() -> None:
    session = make_session()
    holdings = make_holdings(session, {})
    decision, state = decide(session, holdings, State(), PARAMETERS, optimizer())
    check_limits(session, holdings, decision)
    assert decision.rung == 1
    assert decision.violations == ()
    assert 0.10 < decision.turnover_chosen <= 0.15
    assert decision.turnover_forced == 0
    assert state.last_decision == session.date
    assert state.peak == state.guard_peak == 1e6
    assert {order.reason for order in decision.orders} == {"optimiser"}
    covariance = ledoit_wolf(session.returns).matrix
    held = decision.shares * session.close / 1e6
    assert decision.predicted_volatility == pytest.approx(volatility(held, covariance))


def test_orders_carry_their_slippage() -> None:
    session = make_session()
    decision, _ = decide(session, make_holdings(session, {}), State(), PARAMETERS, optimizer())
    for order in decision.orders:
        daily = session.returns[-63:, order.column].std(ddof=1)
        value = order.quantity * session.close[order.column]
        assert order.slippage == pytest.approx(1e-4 + 0.5 * daily * np.sqrt(value / 3e8))
    free = replace(PARAMETERS, cost_multiplier=0.0)
    decision, _ = decide(session, make_holdings(session, {}), State(), free, optimizer())
    assert {order.slippage for order in decision.orders} == {0.0}
    assert not linear_cost(session, 1e6, free).any()


def test_stops_are_sold_at_once_whatever_the_turnover_and_not_bought_for_ten_sessions() -> None:
    session = make_session()
    held = {i: 0.045 for i in range(2, 12)}
    holdings = make_holdings(session, held)
    state = marks_of(session, holdings)
    state = replace(state, marks=dict.fromkeys(state.marks, Mark(0.5, 1.0)))
    decision, state = decide(session, holdings, state, PARAMETERS, optimizer())
    assert decision.rung == 1
    assert not decision.shares[2:12].any()
    assert decision.turnover_forced == pytest.approx(0.45, abs=0.005)
    assert decision.turnover_chosen <= 0.15
    assert {order.reason for order in decision.orders if order.quantity < 0} == {"stop-loss"}
    assert [order.quantity < 0 for order in decision.orders] == sorted(
        (order.quantity < 0 for order in decision.orders), reverse=True
    )
    assert sum(action.rule == "stop-loss" for action in decision.actions) == 10
    shares = decision.shares
    for later in range(1, 11):
        session = make_session(day=300 + later)
        holdings = Holdings(shares, 0.0, 1e6, np.zeros_like(shares))
        decision, state = decide(session, holdings, state, PARAMETERS, optimizer())
        stopped = [order.column for order in decision.orders if 2 <= order.column < 12]
        assert bool(stopped) == (later == 10), later
        shares = decision.shares


def test_a_stop_that_could_not_be_sold_is_sold_later() -> None:
    session = make_session(traded=np.arange(NAMES) != 5)
    holdings = make_holdings(session, {5: 0.04})
    decision, state = decide(
        session, holdings, marks_of(session, holdings, T05=Mark(0.5, 1.0)), PARAMETERS, optimizer()
    )
    assert decision.shares[5] == holdings.shares[5]
    assert {action.rule for action in decision.actions if action.ticker == "T05"} == {"stop-loss", "not traded"}
    later = make_session(day=301)
    decision, _ = decide(later, holdings, state, PARAMETERS, optimizer())
    assert decision.shares[5] == 0


def test_leaving_the_index_is_spread_over_five_sessions() -> None:
    gone = np.arange(NAMES) == 4
    first = make_session(member=(np.arange(NAMES) >= 2) & ~gone, constituent=(np.arange(NAMES) >= 2) & ~gone)
    shares = make_holdings(first, {4: 0.05}).shares
    start, state, path = shares[4], State(), []
    parameters = replace(PARAMETERS, turnover_limit=0.0)
    for day in range(5):
        session = replace(first, dates=CALENDAR[49 + day : 301 + day])
        holdings = Holdings(shares, 0.0, 1e6, np.zeros_like(shares))
        decision, state = decide(session, holdings, state, parameters, optimizer())
        path.append(int(decision.shares[4]))
        shares = decision.shares
        assert decision.turnover_forced > 0
    assert path[-1] == 0
    for step, left in enumerate(path[:-1], start=1):
        assert left == pytest.approx(start * (1 - step / 5), abs=step)
    assert state.leaving  # the shares were still held when the last decision was taken


def test_a_member_no_more_may_only_shrink() -> None:
    session = make_session(member=np.isin(np.arange(NAMES), [2, 3, 5, 6, 7]))
    holdings = make_holdings(session, {4: 0.01})
    decision, _ = decide(session, holdings, marks_of(session, holdings), PARAMETERS, optimizer())
    assert decision.shares[4] <= holdings.shares[4]
    assert not decision.shares[8:].any()
    assert ("T04", "shrink only") in {(action.ticker, action.rule) for action in decision.actions}


def test_short_history_is_not_bought_but_may_be_held() -> None:
    returns = make_session().returns.copy()
    returns[:100, [6, 7]] = np.nan
    session = make_session(returns=returns)
    holdings = make_holdings(session, {6: 0.02})
    decision, _ = decide(session, holdings, marks_of(session, holdings), PARAMETERS, optimizer())
    assert decision.shares[7] == 0
    assert decision.shares[6] <= holdings.shares[6]
    assert ("T06", "short history") in {(action.ticker, action.rule) for action in decision.actions}


def test_events_at_the_next_session_and_holes_bar_orders() -> None:
    session = make_session(blocked=np.isin(np.arange(NAMES), [2, 3]), traded=~np.isin(np.arange(NAMES), [4, 5]))
    holdings = make_holdings(session, {2: 0.04, 4: 0.07})
    decision, _ = decide(session, holdings, marks_of(session, holdings), PARAMETERS, optimizer())
    assert not {order.column for order in decision.orders} & {2, 3, 4, 5}
    assert decision.shares[[2, 4]].tolist() == holdings.shares[[2, 4]].tolist()
    check_limits(session, holdings, decision)


def test_drawdown_guard_sells_down_to_its_exposure() -> None:
    session = make_session()
    holdings = make_holdings(session, {i: 0.045 for i in range(2, 14)})
    state = replace(marks_of(session, holdings), peak=1e6 / 0.92, guard_peak=1e6 / 0.92)
    decision, after = decide(session, holdings, state, PARAMETERS, optimizer())
    assert decision.exposure == pytest.approx(0.4)
    assert decision.shares @ session.close / 1e6 <= 0.4 * 0.99
    check_limits(session, holdings, decision)
    assert "drawdown guard" in {order.reason for order in decision.orders}
    state = replace(state, peak=1.2e6, guard_peak=1.2e6)
    decision, after = decide(session, holdings, state, PARAMETERS, optimizer())
    assert decision.exposure == 0.0
    assert not decision.shares.any()
    assert after.zero_since == session.date


def test_marks_move_by_the_sessions_since_the_last_decision() -> None:
    session = make_session(intraday=np.full(NAMES, 0.01))
    holdings = make_holdings(session, {4: 0.02, 5: 0.02})
    for back in (1, 3):
        state = replace(State(), last_decision=str(session.dates[-1 - back]), marks={"T04": Mark(1.1, 1.3)})
        _, after = decide(session, holdings, state, PARAMETERS, optimizer())
        path = 1.1 * np.cumprod(1 + session.returns[-back:, 4])
        assert after.marks["T04"].index == pytest.approx(path[-1])
        assert after.marks["T04"].maximum == pytest.approx(max(1.3, path.max()))
        assert after.marks["T05"] == Mark(1.01, 1.01)
        assert set(after.marks) == {"T04", "T05"}


def test_a_missed_fall_triggers_the_stop() -> None:
    returns = make_session().returns.copy()
    returns[-1, 4] = -0.4
    session = make_session(returns=returns)
    holdings = make_holdings(session, {4: 0.02})
    decision, state = decide(session, holdings, marks_of(session, holdings), PARAMETERS, optimizer())
    assert decision.shares[4] == 0
    assert state.stopped == {"T04": session.date}
    assert next(a.detail for a in decision.actions if a.ticker == "T04").startswith(
        "0.4000 below the maximum, allowed 0.0"
    )


def test_actions_name_the_rule() -> None:
    session = make_session(blocked=np.arange(NAMES) == 3, traded=np.arange(NAMES) != 6)
    holdings = make_holdings(session, {3: 0.02, 6: 0.02})
    state = replace(marks_of(session, holdings), stopped={"T05": str(session.dates[-4])})
    decision, _ = decide(session, holdings, state, PARAMETERS, optimizer())
    rules = {(action.ticker, action.rule) for action in decision.actions}
    assert {("T03", "event at the next session"), ("T06", "not traded"), ("T05", "cool-off")} <= rules
    assert not {("T03", "not traded"), ("T06", "event at the next session")} & rules


def test_only_members_have_alpha_and_names_without_volume_are_left_alone() -> None:
    session = make_session(ic=5.0, dollar_volume=np.where(np.arange(NAMES) == 7, 0.0, np.full((21, NAMES), 3e8)))
    scores = np.where(np.arange(NAMES) == 0, 1e3, session.scores)  # an ETF's score says nothing
    holdings = make_holdings(session, {7: 0.02})
    state = marks_of(session, holdings)
    decision, _ = decide(replace(session, scores=scores), holdings, state, PARAMETERS, optimizer())
    plain, _ = decide(session, holdings, state, PARAMETERS, optimizer())
    assert decision.weights.tolist() == plain.weights.tolist()
    assert decision.shares[7] == holdings.shares[7]
    assert np.isinf(linear_cost(session, 1e6, PARAMETERS)[7])
    missing, _ = decide(replace(session, scores=np.full(NAMES, np.nan)), holdings, state, PARAMETERS, optimizer())
    assert missing.unscored == 12


def test_open_orders_are_netted() -> None:
    session = make_session()
    holdings = make_holdings(session, {})
    decision, _ = decide(session, holdings, State(), PARAMETERS, optimizer())
    pending = replace(holdings, open_quantity=decision.shares)
    again, _ = decide(session, pending, State(), replace(PARAMETERS, turnover_limit=0.0), optimizer())
    assert again.orders == ()
    assert again.shares.tolist() == decision.shares.tolist()


def test_a_failing_solver_is_told_and_the_limits_hold() -> None:
    session = make_session()
    holdings = make_holdings(session, {i: 0.045 for i in range(2, 10)})
    decision, _ = decide(session, holdings, marks_of(session, holdings), PARAMETERS, optimizer(1))
    assert decision.rung >= 3
    assert decision.error
    check_limits(session, holdings, decision)


@pytest.mark.parametrize("problem", ["empty", "price", "future", "shape", "window"])
def test_contradictory_inputs_are_refused(problem: str) -> None:
    session, state = make_session(), State()
    holdings = make_holdings(session, {4: 0.02})
    if problem == "empty":
        session = replace(session, returns=np.full_like(session.returns, np.nan))
        holdings = make_holdings(session, {})
    elif problem == "price":
        session = replace(session, close=np.where(np.arange(NAMES) == 4, np.nan, session.close))
    elif problem == "future":
        state = State(last_decision="2031-01-01")
    elif problem == "window":
        state = State(last_decision="2001-01-01")
    else:
        holdings = Holdings(np.zeros(3, np.int64), 1e6, 1e6, np.zeros(3, np.int64))
    with pytest.raises(DataError):
        decide(session, holdings, state, PARAMETERS, optimizer())


@pytest.mark.parametrize("equity", [0.0, -5.0, np.inf])
def test_an_account_without_equity_is_refused(equity: float) -> None:
    with pytest.raises(DataError):
        Holdings(np.zeros(1, np.int64), 0.0, equity, np.zeros(1, np.int64))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1_000_000), st.sampled_from([0.0, 0.15]), st.floats(0, 0.12))
def test_limits_hold_in_random_sessions(seed: int, oddity: float, drawdown: float) -> None:
    random = np.random.default_rng(seed)
    odd = lambda: random.random(NAMES) < oddity  # noqa: E731
    etf = np.arange(NAMES) < 2
    constituent = ~etf & ~odd()
    session = make_session(seed, traded=~odd(), blocked=odd(), constituent=constituent, member=constituent & ~odd())
    weights = random.dirichlet(np.ones(NAMES)) * random.uniform(0, 0.95) * (random.random(NAMES) < 0.7)
    holdings = make_holdings(session, dict(enumerate(weights)), float(random.choice([3e4, 1e6])))
    pending = np.where(random.random(NAMES) < oddity, random.integers(-20, 20, NAMES), 0)
    holdings = replace(holdings, open_quantity=np.maximum(pending, -holdings.shares))
    state = marks_of(session, holdings)
    state = replace(
        state,
        guard_peak=holdings.equity / (1 - drawdown),
        peak=holdings.equity / (1 - drawdown),
        marks={ticker: Mark(random.uniform(0.9, 1.0), 1.0) for ticker in state.marks},
    )
    decision, after = decide(session, holdings, state, PARAMETERS, optimizer())
    if not decision.violations:
        check_limits(session, holdings, decision)
    assert {item.name for item in decision.violations} <= {"turnover"}
    for item in decision.violations:  # rounding to whole shares of a small account
        assert item.amount <= (session.close / holdings.equity).sum()
    free = session.traded & ~session.blocked
    stopped = np.array([ticker in after.stopped for ticker in session.tickers])
    assert not decision.shares[stopped & free].any()
    for order in decision.orders:
        assert order.quantity < 0 or (session.member | session.is_etf)[order.column]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 100_000))
def test_order_of_columns_has_no_part(seed: int) -> None:
    random = np.random.default_rng(seed)
    session = make_session(seed)
    weights = random.dirichlet(np.ones(NAMES)) * 0.5
    holdings = make_holdings(session, dict(enumerate(weights)))
    order = random.permutation(NAMES)
    first, state = decide(session, holdings, State(), PARAMETERS, optimizer())
    other, other_state = decide(session.columns(order), holdings.columns(order), State(), PARAMETERS, optimizer())
    assert other.weights == pytest.approx(first.weights[order], abs=1e-6)
    assert other.shares.tolist() == first.shares[order].tolist()
    assert [(o.ticker, o.quantity) for o in other.orders] == [(o.ticker, o.quantity) for o in first.orders]
    assert other_state == state
    again, _ = decide(session, holdings, State(), PARAMETERS, optimizer())
    assert again.weights.tolist() == first.weights.tolist()
    assert again.orders == first.orders


class DifficultRun:
    """The difficult market traded at the next open, without costs; splits, dividends, delisting as they come."""

    def __init__(self, through_json: bool) -> None:
        self.panel, self.last_session = difficult_market()
        self.returns = panel_returns(self.panel)
        self.through_json = through_json
        self.shares = np.zeros(len(self.panel.tickers), dtype=np.int64)
        self.open = self.shares.copy()
        self.cash, self.state = 1e6, State()

    def session(self, t: int) -> Session:
        panel, rows = self.panel, slice(t - 251, t + 1)
        next_row = min(t + 1, len(panel.dates) - 1)
        spy = panel.column("SPY")
        groups = panel.sector[t].astype(np.int64)
        groups[spy] = GROUPS.index("broad equity")
        return Session(
            dates=panel.dates[rows],
            tickers=panel.tickers,
            close=self.returns.close[t],
            traded=np.isfinite(panel.close[t]),
            returns=self.returns.total[rows],
            intraday=self.returns.intraday[t],
            market=self.returns.total[rows, spy],
            dollar_volume=self.returns.dollar_volume[t - 20 : t + 1],
            scores=np.random.default_rng(t).standard_normal(len(panel.tickers)),
            member=panel.member[t],
            constituent=panel.constituent[t],
            is_etf=panel.is_etf,
            groups=groups,
            blocked=(panel.split[next_row] != 1) | (self.last_session == t),
            ic=0.1,
            ic_standard_error=0.01,
        )

    def open_session(self, t: int) -> None:
        panel = self.panel
        self.cash += float(np.nan_to_num(self.shares * panel.dividend[t]).sum())
        after = self.shares * panel.split[t]
        base = (self.returns.close[t - 1] - panel.dividend[t]) / panel.split[t]
        self.cash += float(np.nan_to_num((after - np.floor(after)) * base).sum())
        self.shares = np.floor(after).astype(np.int64)
        ended = (self.last_session >= 0) & (self.last_session < t)
        self.cash += float(np.nan_to_num(self.shares * self.returns.close[t - 1])[ended].sum())
        self.shares[ended] = self.open[ended] = 0
        filled = np.isfinite(panel.open[t]) & (self.open != 0)
        self.cash -= float((self.open * np.nan_to_num(panel.open[t]))[filled].sum())
        self.shares[filled] += self.open[filled]
        self.open[filled] = 0

    def decide(self, t: int) -> tuple[Session, Holdings, Decision]:
        session = self.session(t)
        equity = self.cash + float(np.nan_to_num(self.shares * session.close).sum())
        holdings = Holdings(self.shares.copy(), self.cash, equity, self.open.copy())
        state = State.from_dict(json.loads(json.dumps(self.state.to_dict()))) if self.through_json else self.state
        decision, self.state = decide(session, holdings, state, PARAMETERS, optimizer())
        for order in decision.orders:
            self.open[order.column] += order.quantity
        return session, holdings, decision


def run_difficult_market(through_json: bool) -> list[tuple[Session, Holdings, Decision]]:
    run, days = DifficultRun(through_json), []
    for t in range(252, 330):
        run.open_session(t)
        days.append(run.decide(t))
    return days


@cache
def difficult_days() -> list[tuple[Session, Holdings, Decision]]:
    return run_difficult_market(through_json=False)


def test_limits_hold_on_every_day_of_the_difficult_market() -> None:
    for session, holdings, decision in difficult_days():
        assert decision.violations == (), session.date
        check_limits(session, holdings, decision)
    assert max(np.count_nonzero(holdings.shares) for _, holdings, _ in difficult_days()) >= 8


def test_difficult_names_are_handled() -> None:
    days, tickers = difficult_days(), difficult_days()[0][0].tickers
    column = {ticker: tickers.index(ticker) for ticker in tickers}
    for offset, (session, holdings, decision) in enumerate(days):
        t, ordered = 252 + offset, {order.ticker for order in decision.orders}
        assert not ordered & {tickers[i] for i in np.flatnonzero(~session.traded | session.blocked)}
        if t < 292:
            assert decision.shares[column["LATE"]] == 0
        if t >= 300:
            assert decision.shares[column["UNKNOWN"]] == 0
        if t > 300:
            assert holdings.shares[column["DELIST"]] == 0
    assert any(decision.shares[column["LATE"]] for _, _, decision in days)
    assert any(holdings.shares[column["DELIST"]] for _, holdings, _ in days)


def test_state_through_json_gives_the_same_decisions() -> None:
    for (_, _, first), (_, _, second) in zip(difficult_days(), run_difficult_market(through_json=True), strict=True):
        assert first.orders == second.orders
        assert first.weights.tolist() == second.weights.tolist()
        assert first.actions == second.actions


@pytest.mark.parametrize(
    "change",
    [
        {"close": np.ones(3)},
        {"dates": CALENDAR[[*range(251), 250]]},
        {"tickers": ("A",) * NAMES},
        {"dates": CALENDAR[:200], "returns": np.zeros((200, NAMES)), "market": np.zeros(200)},
    ],
)
def test_malformed_sessions_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="session"):
        make_session(**change)


def test_malformed_holdings_are_refused() -> None:
    with pytest.raises(DataError):
        Holdings(np.array([-1]), 1.0, 1.0, np.array([0]))
    with pytest.raises(DataError):
        Holdings(np.array([1]), 1.0, 1.0, np.array([0, 0]))


def test_unknown_volatility_takes_the_largest_known() -> None:
    returns = make_session().returns.copy()
    returns[-10, 3] = np.nan
    daily = make_session(returns=returns).daily_volatility()
    assert daily[3] == np.delete(returns, 3, axis=1)[-63:].std(axis=0, ddof=1).max()
