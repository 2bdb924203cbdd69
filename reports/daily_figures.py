"""What a day's report says, in figures: computed from a run cut at that day, apart from how it is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from quant50.groups import GROUPS, SECTORS
from quant50.parameters import Parameters
from reports import metrics
from reports.inference import sharpe_standard_error
from reports.run_folder import Performance, Run
from reports.tables import Bar

VOLATILITY_SESSIONS = 63
RUNGS = ("no decision", "full problem", "turnover limit raised", "nearest feasible weights", "holdings scaled down")
"""Names of the rungs of the optimiser's ladder, by number."""


@dataclass(frozen=True)
class Pair:
    """A figure of the strategy and the same figure of the benchmark."""

    own: float
    benchmark: float


@dataclass(frozen=True)
class Order:
    """An order executed in the session: signed shares, prices and costs in USD."""

    ticker: str
    quantity: int
    filled: int
    decision_price: float
    fill_price: float
    cost: float
    reason: str

    @property
    def value(self) -> float:
        """USD traded, unsigned."""
        return abs(self.filled) * self.fill_price

    @property
    def move(self) -> float:
        """Price paid against the price decided on, basis points; positive is to the order's disadvantage."""
        return 1e4 * math.copysign(1.0, self.quantity) * (self.fill_price / self.decision_price - 1.0)


@dataclass(frozen=True)
class Day:
    """Figures of the last session of a run (cut a longer one with `Run.until`)."""

    run: Run

    @property
    def date(self) -> date:
        """The session reported on."""
        last: pd.Timestamp = self.run.equity["date"].iloc[-1]
        return last.date()

    @cached_property
    def row(self) -> Any:
        """Last row of the equity table."""
        return self.run.equity.iloc[-1]

    @cached_property
    def performance(self) -> Performance:
        """Returns and levels since the start."""
        return self.run.performance()

    @cached_property
    def decision(self) -> Any | None:
        """The decision at this close, None if there was none."""
        found = self._today(self.run.decisions)
        return found.iloc[-1] if len(found) else None

    def _today(self, frame: pd.DataFrame, column: str = "date") -> pd.DataFrame:
        return frame[frame[column] == pd.Timestamp(self.date)]

    def profit(self, since: str) -> float:
        """Change of equity in USD since the last close ('day'), the start ('start') or last year's end ('year')."""
        return float(self.row["equity"]) - self._base("equity", since)

    def gain(self, since: str) -> Pair:
        """Return over the same spans, fractions."""
        own, benchmark = (float(self.row[name]) / self._base(name, since) - 1.0 for name in ("equity", "benchmark"))
        return Pair(own, benchmark)

    def _base(self, name: str, since: str) -> float:
        levels, dates = self.run.column("equity", name), self.run.dates
        before = {
            "day": len(levels) - 1,
            "year": int(np.searchsorted(dates, np.datetime64(f"{self.date.year}-01-01"))),
            "start": 0,
        }[since]
        return float(levels[before - 1]) if before else self.run.manifest.initial_cash

    @property
    def maximum_drawdown(self) -> Pair:
        """Deepest drawdown since the start, fractions."""
        path = self.performance
        return Pair(*(metrics.maximum_drawdown(p).depth for p in (path.strategy_levels, path.benchmark_levels)))

    @property
    def drawdown(self) -> Pair:
        """Drawdown at this close, fractions."""
        path = self.performance
        return Pair(*(float(metrics.drawdowns(p)[-1]) for p in (path.strategy_levels, path.benchmark_levels)))

    @property
    def volatility(self) -> Pair:
        """Annual volatility of the last 63 sessions' returns (of fewer, early in a run), fractions."""
        path = self.performance
        return Pair(*(metrics.annual_volatility(r[-VOLATILITY_SESSIONS:]) for r in (path.strategy, path.benchmark)))

    @property
    def sharpe(self) -> tuple[Pair, float]:
        """Sharpe ratio over the T-bill since the start, and the standard error of the strategy's."""
        path = self.performance
        excess, market = path.strategy - path.tbill, path.benchmark - path.tbill
        return Pair(metrics.sharpe(excess), metrics.sharpe(market)), sharpe_standard_error(excess)

    @property
    def beta(self) -> float:
        """Beta to the benchmark since the start."""
        path = self.performance
        return metrics.beta(path.strategy - path.tbill, path.benchmark - path.tbill)

    @property
    def turnover(self) -> float:
        """Turnover of the session, chosen and forced, a fraction of equity."""
        return float(self.row["turnover_chosen"] + self.row["turnover_forced"])

    @property
    def annual_turnover(self) -> float:
        """Mean turnover × 252, chosen and forced, fractions of equity a year."""
        both = self.run.column("equity", "turnover_chosen") + self.run.column("equity", "turnover_forced")
        return metrics.annual_turnover(both)

    @cached_property
    def holdings(self) -> pd.DataFrame:
        """Holdings at this close, largest weight first, ties by ticker."""
        today = self._today(self.run.holdings)
        return today.sort_values(["weight", "ticker"], ascending=[False, True], ignore_index=True)

    def groups(self) -> list[Bar]:
        """Weight and cap of every group in a fixed order, groups without a cap of their own last, then cash."""
        weights = self.holdings.groupby("group")["weight"].sum()
        extra = [str(name) for name in sorted(weights.index) if name not in GROUPS]
        bars = [
            Bar(
                name[0].upper() + name[1:], float(weights.get(name, 0.0)), group_cap(name, self.run.manifest.parameters)
            )
            for name in (*GROUPS, *extra)
        ]
        return [*bars, Bar("Cash", float(self.row["cash"] / self.row["equity"]), None)]

    @cached_property
    def orders(self) -> list[Order]:
        """Orders executed in this session, largest value first, ties by id."""
        filled: list[Any] = list(self._today(self.run.orders, "fill_date").itertuples())
        orders = [
            Order(r.ticker, r.quantity, r.filled, r.decision_price, r.fill_price, r.slippage + r.fee, r.reason)
            for r in filled
        ]
        return sorted(orders, key=lambda order: -order.value)

    @property
    def leaving(self) -> int:
        """Orders decided at this close, for the next open."""
        return len(self._today(self.run.orders, "decision_date"))

    @property
    def unfilled(self) -> int:
        """Orders decided at the previous close that this session did not fill."""
        if len(self.run.equity) < 2:
            return 0
        orders = self.run.orders[self.run.orders["decision_date"] == self.run.equity["date"].iloc[-2]]
        return int((orders["fill_date"].isna()).sum())

    @property
    def rules(self) -> dict[str, list[str]]:
        """Each rule that acted at this close with the tickers it acted on, by name."""
        today = self._today(self.run.rules)
        return {str(rule): sorted(found["ticker"]) for rule, found in today.groupby("rule")}


def group_cap(group: str, parameters: Parameters) -> float | None:
    """Cap of a group's weight, a fraction; None for a name that is no group of the strategy."""
    special = {
        "Unknown": parameters.unknown_sector_cap,
        "broad equity": parameters.broad_equity_cap,
        "bonds": parameters.bond_cap,
        "gold": parameters.gold_cap,
    }
    return parameters.sector_cap if group in SECTORS else special.get(group)
