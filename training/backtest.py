"""The walk-forward backtest: the decision core asked at each close, the simulator trading what it decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from quant50 import costs
from quant50.decision import Decision, decide
from quant50.errors import DataError
from quant50.groups import ETF_GROUPS, GROUPS, MARKET
from quant50.optimizer import Optimizer
from quant50.panel import Floats, Ints
from quant50.parameters import Parameters
from quant50.session import HISTORY, LIQUIDITY_SESSIONS, Holdings, Session
from quant50.state import State
from training.prepared import Prepared
from training.simulator.bars import market_bars
from training.simulator.broker import Fee
from training.simulator.loop import Ledger, Portfolio, simulate
from training.simulator.orders import Orders
from training.walk_forward import ScoredSessions


@dataclass(frozen=True)
class Backtest:
    """What a backtest did.

    Attributes
    ----------
    ledger : every session and order of the simulator
    decisions : one for each session
    columns : columns of the panel that each decision's arrays refer to
    seconds : wall time inside the decision core, and of the whole
    """

    ledger: Ledger
    decisions: list[Decision]
    columns: list[Ints]
    seconds: dict[str, float]


def regulatory_fee(dates: np.ndarray[tuple[int], np.dtype[np.datetime64]], multiplier: float) -> Fee:
    """Fee of the simulator's fills: `quant50.costs.fees` at the fill session's open."""

    def fee(row: int, _columns: Ints, quantities: Ints, opens: Floats) -> Floats:
        return costs.fees(dates[row], quantities.astype(np.float64), opens, multiplier)

    return fee


@dataclass
class ModelStrategy:
    """The strategy as the simulator calls it: slices of the past in, orders out; keeps the state between sessions."""

    prepared: Prepared
    scored: ScoredSessions
    parameters: Parameters
    optimizer: Optimizer
    state: State = field(default_factory=State)
    decisions: list[Decision] = field(default_factory=list)
    columns: list[Ints] = field(default_factory=list)
    seconds: float = 0.0
    advance: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        """Group codes of the ETFs, and the market's column."""
        panel = self.prepared.market.panel
        self._market = panel.column(MARKET)
        self._etf_groups = {n: GROUPS.index(ETF_GROUPS[panel.tickers[n]]) for n in np.flatnonzero(panel.is_etf)}

    def session(self, row: int, columns: Ints) -> Session:
        """What is known of some columns at the close of a session; rows up to it alone, but for announced splits."""
        panel, returns = self.prepared.market.panel, self.prepared.returns
        window = slice(row - HISTORY + 1, row + 1)
        announced = panel.split[row + 1] != 1.0 if row + 1 < len(panel.dates) else np.zeros(len(panel.tickers), bool)
        groups = panel.sector[row, columns].astype(np.int64)
        for i, column in enumerate(columns):
            groups[i] = self._etf_groups.get(column, groups[i])
        return Session(
            dates=panel.dates[window],
            tickers=tuple(panel.tickers[column] for column in columns),
            close=returns.close[row, columns],
            traded=np.isfinite(panel.close[row, columns]),
            returns=returns.total[window][:, columns],
            intraday=returns.intraday[row, columns],
            market=returns.total[window, self._market],
            dollar_volume=returns.dollar_volume[row - LIQUIDITY_SESSIONS + 1 : row + 1][:, columns],
            scores=self.scored.scores[row, columns],
            member=panel.member[row, columns] & ~panel.is_etf[columns],
            constituent=panel.constituent[row, columns],
            is_etf=panel.is_etf[columns],
            groups=groups,
            blocked=announced[columns],
            ic=float(self.scored.ic[row]),
            ic_standard_error=float(self.scored.ic_standard_error[row]),
        )

    def __call__(self, row: int, portfolio: Portfolio) -> Orders:
        """Decide after the close of a session."""
        panel, pending = self.prepared.market.panel, portfolio.pending()
        begun = np.isfinite(self.prepared.returns.close[row])
        columns = np.flatnonzero(
            ((panel.member[row] | panel.is_etf) & begun) | (portfolio.shares != 0) | (pending != 0)
        )
        session = self.session(row, columns)
        holdings = Holdings(portfolio.shares[columns], portfolio.cash, portfolio.equity, pending[columns])
        start = time.perf_counter()
        decision, self.state = decide(session, holdings, self.state, self.parameters, self.optimizer)
        self.seconds += time.perf_counter() - start
        self.decisions.append(decision)
        self.columns.append(columns)
        self.advance(1)
        return Orders(
            column=columns[np.array([order.column for order in decision.orders], dtype=np.int64)],
            quantity=np.array([order.quantity for order in decision.orders], dtype=np.int64),
            slippage=np.array([order.slippage for order in decision.orders]),
            reason=[order.reason for order in decision.orders],
        )


def optimizer_size(prepared: Prepared, parameters: Parameters) -> int:
    """Most names a session can hand the optimiser: members, ETFs, and holdings that are neither."""
    panel = prepared.market.panel
    return int((panel.member | panel.is_etf).sum(axis=1).max()) + parameters.maximum_holdings


def run_backtest(
    prepared: Prepared,
    scored: ScoredSessions,
    parameters: Parameters,
    cash: float,
    start: int,
    stop: int,
    advance: Callable[[int], None] | None = None,
) -> Backtest:
    """Trade the sessions start … stop − 1 of a market.

    Raises
    ------
    DataError
        The first session has less history than a decision needs.
    """
    market = prepared.market
    if start < HISTORY:
        raise DataError(f"backtest: {start} sessions before {market.panel.dates[start]}, a decision needs {HISTORY}")
    begun = time.perf_counter()
    optimizer = Optimizer(optimizer_size(prepared, parameters), parameters.covariance_factors, parameters)
    strategy = ModelStrategy(prepared, scored, parameters, optimizer)
    if advance is not None:
        strategy.advance = advance
    fee = regulatory_fee(market.panel.dates, parameters.cost_multiplier)
    bars = market_bars(market.panel, market.last_session)
    with threadpool_limits(1):  # small matrices: more threads cost time, and the sums would depend on their number
        ledger = simulate(bars, strategy, cash, fee, start, stop)
    seconds = {"decisions": strategy.seconds, "simulation": time.perf_counter() - begun}
    return Backtest(ledger, strategy.decisions, strategy.columns, seconds)
