"""The equal-weight baseline: all stocks of the universe, traded by the simulator at the project's costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from quant50 import costs
from quant50.panel import Floats
from quant50.session import LIQUIDITY_SESSIONS, VOLATILITY_SESSIONS
from training.backtest import regulatory_fee
from training.dataset import week_number
from training.prepared import Prepared
from training.simulator.bars import market_bars
from training.simulator.loop import Portfolio, simulate
from training.simulator.orders import Orders, sales_first

CASH: Final = 100e6
"""USD at the start: enough that whole shares of 300 names leave equal weights equal."""

INVESTED: Final = 0.99


@dataclass(frozen=True)
class EqualWeight:
    """Holds every member at one weight; trades after the last session of each week, leavers at once."""

    prepared: Prepared
    multiplier: float

    def __call__(self, row: int, portfolio: Portfolio) -> Orders:
        """Orders that lead back to equal weights."""
        panel, returns = self.prepared.market.panel, self.prepared.returns
        member = panel.member[row] & ~panel.is_etf & np.isfinite(panel.close[row])
        held = portfolio.shares + portfolio.pending()
        target = held.copy()
        if portfolio.equity == portfolio.cash or week_number(panel.dates[row : row + 2]).ptp() > 0:
            target[member] = np.floor(INVESTED * portfolio.equity / member.sum() / returns.close[row, member])
        target[~member & np.isfinite(panel.close[row])] = 0
        quantity = target - held
        columns = np.flatnonzero(quantity)
        columns = columns[sales_first(quantity[columns])]
        value = np.abs(quantity[columns]) * returns.close[row, columns]
        volume = np.nan_to_num(returns.dollar_volume[row - LIQUIDITY_SESSIONS + 1 : row + 1][:, columns]).mean(axis=0)
        moves = np.nan_to_num(returns.total[row - VOLATILITY_SESSIONS + 1 : row + 1][:, columns])
        slippage = costs.slippage(value, volume, moves.std(axis=0, ddof=1), self.multiplier)
        return Orders(columns, quantity[columns], slippage, ["equal weight"] * len(columns))


def equal_weight(prepared: Prepared, start: int, stop: int, multiplier: float) -> Floats:
    """Equity levels (stop − start,) of the baseline, USD, from its start in cash."""
    market = prepared.market
    bars = market_bars(market.panel, market.last_session)
    fee = regulatory_fee(market.panel.dates, multiplier)
    ledger = simulate(bars, EqualWeight(prepared, multiplier), CASH, fee, start, stop)
    return np.asarray(ledger.days["equity"])
