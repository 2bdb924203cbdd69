"""One decision: from the close of t, the holdings and the state to target weights, whole shares and orders.

The same function decides in the simulator, in LEAN and live. Steps: stop-loss, forced exits, drawdown guard, limits,
expected returns, covariance, optimiser, whole shares, orders. Names are put into ticker order first, so the order of
the columns has no part in the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from quant50 import costs, sizing
from quant50.covariance import ledoit_wolf
from quant50.errors import DataError
from quant50.expected_returns import ExpectedReturns, expected_returns
from quant50.groups import GROUPS, SECTORS, UNKNOWN_SECTOR
from quant50.limits import Limits, Violation, after_forced, turnover, volatility
from quant50.optimizer import Inputs, Optimizer
from quant50.panel import Floats, Ints
from quant50.parameters import Parameters
from quant50.rules import Action, Rules, apply_rules
from quant50.session import HISTORY, Holdings, Session
from quant50.state import State

REFERENCE_ORDER: Final = 0.01
"""Order, fraction of equity, at which the optimiser's linear cost takes the impact."""


@dataclass(frozen=True)
class Order:
    """An order for the open of t + 1: column of the session, signed shares, why, and its slippage fraction."""

    column: int
    ticker: str
    quantity: int
    reason: str
    slippage: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be done after the close of t, and how that came about; n names in the session's order.

    Attributes
    ----------
    date : session t, ISO text
    weights : (n,) target weights, fractions of equity; the rest is cash
    shares : (n,) int64 target shares
    orders : sales first, then purchases, each by ticker; net of open orders
    actions : rules that acted
    rung, status, error : of the optimiser (`quant50.optimizer.Solution`)
    violations : limits that whole shares at the close of t break; what pinned names break alone is set aside
    turnover_forced, turnover_chosen : of the whole shares, fractions of equity
    turnover_limit : chosen turnover allowed on the rung in force
    predicted_volatility : annual, of the whole shares
    exposure : what the drawdown guard allows, 0 … 1
    exposure_limit : largest sum of weights, exposure times (1 − minimum cash)
    unscored : members without a score, taken as score 0
    """

    date: str
    weights: Floats
    shares: Ints
    orders: tuple[Order, ...]
    actions: tuple[Action, ...]
    rung: int
    status: str
    error: str
    violations: tuple[Violation, ...]
    turnover_forced: float
    turnover_chosen: float
    turnover_limit: float
    predicted_volatility: float
    exposure: float
    exposure_limit: float
    unscored: int


def decide(
    session: Session, holdings: Holdings, state: State, parameters: Parameters, optimizer: Optimizer
) -> tuple[Decision, State]:
    """The decision at the close of t and the state after it.

    Parameters
    ----------
    session : market and model at the close of t
    holdings : account at the close of t, same names in the same order
    state : after the last decision (`State()` at the start)
    parameters : of the strategy
    optimizer : built for at least as many names as are members, ETFs or held

    Raises
    ------
    DataError
        Nothing to choose from, a held name without a finite price, or a state from after t.
    """
    expected_shares = _checked(session, holdings)
    rules, state_after = apply_rules(session, holdings, state, parameters)
    columns = np.flatnonzero(rules.buyable | (expected_shares > 0))
    if columns.size == 0:
        raise DataError(f"decision: empty universe on {session.date}: no name may be bought and none is held")
    columns = columns[np.argsort(np.array(session.tickers)[columns], kind="stable")]
    part, held_shares = session.columns(columns), expected_shares[columns]
    unit = part.close / holdings.equity
    held = held_shares * unit
    limits = portfolio_limits(part, held, rules.columns(columns), parameters)
    expected, filled = _expected(part, parameters)
    covariance = ledoit_wolf(part.returns[-parameters.covariance_sessions :]).matrix
    solution = optimizer.solve(
        Inputs(
            expected_return=expected.mean,
            standard_error=expected.standard_error,
            cost=linear_cost(part, holdings.equity, parameters),
            held=held,
            covariance=covariance,
            limits=limits,
            equity=holdings.equity,
        )
    )
    limits = replace(limits, turnover=max(limits.turnover, solution.turnover_limit))
    sized = sizing.size(solution.weights, held_shares, holdings.equity, part.close, covariance, limits)
    weights, shares = np.zeros(len(session.tickers)), expected_shares.copy()
    weights[columns], shares[columns] = solution.weights, sized.shares
    base = after_forced(held, limits)
    guarded = {part.tickers[i] for i in np.flatnonzero(base < held)}
    decision = Decision(
        date=session.date,
        weights=weights,
        shares=shares,
        orders=_orders(session, holdings, shares, rules, guarded, parameters),
        actions=(*rules.actions, *_own_actions(part.tickers, filled, sized)),
        rung=solution.rung,
        status=solution.status,
        error=solution.error,
        violations=sized.violations,
        turnover_forced=turnover(held, base),
        turnover_chosen=turnover(base, sized.shares * unit),
        turnover_limit=limits.turnover,
        predicted_volatility=volatility(sized.shares * unit, covariance),
        exposure=rules.exposure,
        exposure_limit=limits.invested,
        unscored=expected.unscored,
    )
    return decision, state_after


def portfolio_limits(session: Session, held: Floats, rules: Rules, parameters: Parameters) -> Limits:
    """The limits of a session's n names.

    Parameters
    ----------
    session, rules : of these names
    held : (n,) weights at the close of t, open orders counted as filled
    parameters : of the strategy
    """
    caps = np.where(session.is_etf, parameters.etf_cap, parameters.stock_cap)
    group_caps = np.full(len(GROUPS), parameters.sector_cap)
    group_caps[UNKNOWN_SECTOR] = parameters.unknown_sector_cap
    after = len(SECTORS) + 1
    group_caps[after:] = parameters.broad_equity_cap, parameters.bond_cap, parameters.gold_cap
    return Limits(
        caps=np.where(rules.forced, np.minimum(caps, rules.keep * held), caps),
        groups=session.groups,
        group_caps=group_caps,
        turnover=parameters.turnover_limit,
        volatility=parameters.volatility_limit,
        invested=rules.exposure * (1.0 - parameters.minimum_cash),
        maximum_holdings=parameters.maximum_holdings,
        pinned=rules.pinned,
        shrink_only=~rules.buyable,
        forced_exit=rules.forced,
    )


def linear_cost(session: Session, equity: float, parameters: Parameters) -> Floats:
    """Cost per unit of weight traded, (n,), as the optimiser sees it; infinite where there is no volume.

    Half spread, half the SEC fee (only sales pay it) and the impact of an order of `REFERENCE_ORDER` of equity.
    """
    liquidity, daily = session.liquidity(), session.daily_volatility()
    known = liquidity > 0
    reference = np.where(known, REFERENCE_ORDER * equity, 0.0)
    fraction = costs.slippage(reference, liquidity, daily, parameters.cost_multiplier)
    fee = 0.5 * parameters.cost_multiplier * costs.sec_fee_rate(session.dates[-1])
    return np.asarray(np.where(known, fraction + fee, np.inf))


def _checked(session: Session, holdings: Holdings) -> Ints:
    """Shares (n,) as they will be once the open orders are filled."""
    if holdings.shares.shape != session.close.shape:
        raise DataError(f"decision: holdings of {holdings.shares.size} names, session of {len(session.tickers)}")
    expected = np.maximum(holdings.shares + holdings.open_quantity, 0)
    with np.errstate(invalid="ignore"):
        unpriced = ((holdings.shares > 0) | (expected > 0)) & ~((session.close > 0) & np.isfinite(session.close))
    if unpriced.any():
        raise DataError(f"decision: no price of held {[session.tickers[i] for i in np.flatnonzero(unpriced)]}")
    return np.asarray(expected, dtype=np.int64)


def _expected(session: Session, parameters: Parameters) -> tuple[ExpectedReturns, Ints]:
    """Expected returns, and the columns of held names whose unknown returns stood in for by the market's."""
    unknown = ~np.isfinite(session.returns[-HISTORY:])
    market = session.market[-HISTORY:]
    result = expected_returns(
        np.where(unknown, market[:, None], session.returns[-HISTORY:]),
        market,
        session.scores,
        session.member & ~session.is_etf,
        session.ic,
        session.ic_standard_error,
        parameters,
    )
    return result, np.flatnonzero(unknown.any(axis=0))


def _own_actions(tickers: tuple[str, ...], filled: Ints, sized: sizing.Sized) -> list[Action]:
    """What was done to names after the rules: short histories, shares trimmed and given back."""
    actions = [Action(tickers[i], "short history", "unknown returns taken from the market") for i in filled]
    for rule, amounts in (("limit trim", sized.trimmed), ("turnover trim", sized.given_back)):
        actions += [Action(tickers[i], rule, f"{amounts[i]} shares") for i in np.flatnonzero(amounts)]
    return actions


def _orders(
    session: Session, holdings: Holdings, target: Ints, rules: Rules, guarded: set[str], parameters: Parameters
) -> tuple[Order, ...]:
    """Orders that lead to the target shares, net of open orders; none in a pinned name."""
    quantities = sizing.order_quantities(target, holdings.shares, holdings.open_quantity)
    quantities = np.where(rules.pinned, 0, quantities)
    value = np.where(quantities != 0, quantities * session.close, 0.0)
    slippage = costs.slippage(value, session.liquidity(), session.daily_volatility(), parameters.cost_multiplier)
    orders = []
    for i in sizing.order_sequence(quantities, session.tickers):
        ticker, sale = session.tickers[i], quantities[i] < 0
        reason = rules.reasons[i] or ("drawdown guard" if ticker in guarded else "")
        orders.append(
            Order(i, ticker, int(quantities[i]), reason if sale and reason else "optimiser", float(slippage[i]))
        )
    return tuple(orders)
