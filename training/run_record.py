"""From a backtest to its folder in `runs/`: tables, manifest, metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quant50.groups import ETF_GROUPS, GROUPS, MARKET
from quant50.panel import Floats
from quant50.parameters import Parameters
from reports.metrics import summary, tbill_returns
from reports.run_folder import Manifest, Run, write_run
from training.backtest import Backtest
from training.evaluation import Evaluation, evaluate
from training.prepared import Prepared, git_commit
from training.simulator.orders import Status
from training.walk_forward import ScoredSessions

VERSIONED = ("numpy", "pandas", "scipy", "scikit-learn", "lightgbm", "cvxpy", "clarabel", "pyarrow", "duckdb")


def total_return_index(prepared: Prepared, ticker: str, start: int, stop: int) -> Floats:
    """Total-return index of a ticker over the sessions start … stop − 1, 1 at the first close."""
    moves = prepared.returns.total[start:stop, prepared.market.panel.column(ticker)].copy()
    moves[0] = 0.0
    return np.asarray(np.cumprod(1.0 + moves))


def equity_table(prepared: Prepared, backtest: Backtest, cash: float) -> pd.DataFrame:
    """One row a session: equity, cash, turnover, benchmark, T-bill."""
    start, days = backtest.ledger.start, backtest.ledger.days
    stop = start + len(days)
    panel = prepared.market.panel
    return pd.DataFrame(
        {
            "date": panel.dates[start:stop],
            "equity": days["equity"],
            "cash": days["cash"],
            "positions": days["positions"],
            "invested": 1.0 - days["cash"] / days["equity"],
            "turnover_chosen": [d.turnover_chosen for d in backtest.decisions],
            "turnover_forced": [d.turnover_forced for d in backtest.decisions],
            "benchmark": cash * total_return_index(prepared, MARKET, start, stop),
            "tbill": tbill_returns(prepared.market.rates[start:stop], panel.dates[start:stop]),
            "guard_exposure": [d.exposure for d in backtest.decisions],
        }
    )


def orders_table(prepared: Prepared, backtest: Backtest) -> pd.DataFrame:
    """One row an order, in the order of submission; orders without an id of LEAN's are numbered after the others."""
    panel, orders = prepared.market.panel, backtest.ledger.orders
    filled = orders["status"] == Status.FILLED
    fill_date = np.where(filled, panel.dates[np.maximum(orders["finished"], 0)], np.datetime64("NaT"))
    refused = np.flatnonzero(orders["id"] == 0)
    number = orders["id"].copy()
    number[refused] = orders["id"].max(initial=0) + 1 + np.arange(len(refused))
    table = pd.DataFrame(
        {
            "id": number,
            "decision_date": panel.dates[orders["submitted"]],
            "fill_date": fill_date,
            "ticker": [panel.tickers[column] for column in orders["column"]],
            "quantity": orders["quantity"],
            "filled": np.where(filled, orders["quantity"], 0),
            "decision_price": prepared.returns.close[orders["submitted"], orders["column"]],
            "fill_price": np.where(filled, orders["price"], np.nan),
            "slippage": np.where(filled, orders["slippage"], 0.0),
            "fee": np.where(filled, orders["fee"], 0.0),
            "status": [Status(status).name.lower() for status in orders["status"]],
            "reason": list(backtest.ledger.reasons),
        }
    )
    return table.sort_values(["decision_date", "id"], kind="stable", ignore_index=True)


def holdings_table(prepared: Prepared, scored: ScoredSessions, backtest: Backtest) -> pd.DataFrame:
    """One row for each name held at each close."""
    panel, ledger = prepared.market.panel, backtest.ledger
    day, column = np.nonzero(ledger.shares)
    row = day + ledger.start
    close, shares = prepared.returns.close[row, column], ledger.shares[day, column]
    etf_groups = {n: ETF_GROUPS[panel.tickers[n]] for n in np.flatnonzero(panel.is_etf)}
    return pd.DataFrame(
        {
            "date": panel.dates[row],
            "ticker": [panel.tickers[n] for n in column],
            "shares": shares,
            "close": close,
            "weight": shares * close / ledger.days["equity"][day],
            "group": [
                etf_groups.get(n, GROUPS[code]) for n, code in zip(column, panel.sector[row, column], strict=True)
            ],
            "score": scored.scores[row, column],
        }
    )


def decision_tables(scored: ScoredSessions, backtest: Backtest) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row for each decision, and one for each rule that acted in it."""
    start = backtest.ledger.start
    decisions = pd.DataFrame(
        [
            {
                "date": d.date,
                "rung": d.rung,
                "status": d.status,
                "holdings": int(np.count_nonzero(d.shares)),
                "predicted_volatility": d.predicted_volatility,
                "exposure_limit": d.exposure_limit,
                "turnover_chosen": d.turnover_chosen,
                "turnover_forced": d.turnover_forced,
                "model": str(scored.model[start + i]),
                "solve_error": d.error,
            }
            for i, d in enumerate(backtest.decisions)
        ]
    )
    acted: list[tuple[str, str, str, str]] = [
        (d.date, a.ticker, a.rule, a.detail) for d in backtest.decisions for a in d.actions
    ]
    acted += [
        (d.date, "", "limit broken", f"{v.name} by {v.amount:.3g}") for d in backtest.decisions for v in d.violations
    ]
    acted += [(d.date, "", "no score", f"{d.unscored} members") for d in backtest.decisions if d.unscored]
    acted.sort(key=lambda action: action[0])
    rules = pd.DataFrame(acted, columns=["date", "ticker", "rule", "detail"])
    return decisions, rules


def signal_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Figures of the scores themselves, by name."""
    return {
        "rank_ic": evaluation.ic.value,
        "rank_ic_standard_error": evaluation.ic.standard_error,
        "rank_ic_t": evaluation.ic.t,
        "icir": evaluation.icir,
        "auc": evaluation.auc.value,
        "auc_standard_error": evaluation.auc.standard_error,
        "top_50_sharpe_improvement": evaluation.sharpe_improvement,
    }


def decision_metrics(backtest: Backtest) -> dict[str, float]:
    """Figures of the decisions: rungs, limits broken, stops, mean holdings."""
    decisions = backtest.decisions
    rungs = {f"days_on_rung_{n}": float(sum(d.rung == n for d in decisions)) for n in (1, 2, 3, 4)}
    return {
        **rungs,
        "days_with_a_broken_limit": float(sum(bool(d.violations) for d in decisions)),
        "stops": float(sum(a.rule == "stop-loss" for d in decisions for a in d.actions)),
        "mean_holdings": float(np.mean(backtest.ledger.days["positions"])),
        "largest_holdings": float(np.max(backtest.ledger.days["positions"])),
    }


def record(
    folder: Path,
    prepared: Prepared,
    scored: ScoredSessions,
    backtest: Backtest,
    parameters: Parameters,
    *,
    cash: float,
    kind: str,
    trials: int,
    fit: Mapping[str, str | int | float] | None = None,
    seed: int = 0,
    seconds: Mapping[str, float] | None = None,
) -> Run:
    """Write a backtest's folder; only timings.json may differ between two runs of the same inputs."""
    panel, start = prepared.market.panel, backtest.ledger.start
    stop = start + len(backtest.decisions)
    held = {panel.tickers[n] for n in np.flatnonzero(backtest.ledger.shares.any(axis=0))}
    manifest: dict[str, Any] = {
        "market": {
            "simulated": prepared.market.simulated,
            "description": prepared.market.description,
            "data_hash": prepared.market.data_hash,
        },
        "parameters": asdict(parameters),
        "versions": {name: version(name) for name in VERSIONED},
        "seed": seed,
        "commit": git_commit(),
        "start": str(panel.dates[start]),
        "end": str(panel.dates[stop - 1]),
        "initial_cash": cash,
        "cost_multiplier": parameters.cost_multiplier,
        "model": {"kind": kind, "parameters": dict(fit or {}), "weeks": sorted(set(scored.model[start:stop].tolist()))},
        "trials": trials,
        "names": {t: name for t, name in zip(panel.tickers, prepared.market.names, strict=True) if t in held},
    }
    decisions, rules = decision_tables(scored, backtest)
    tables = {
        "equity": equity_table(prepared, backtest, cash),
        "orders": orders_table(prepared, backtest),
        "holdings": holdings_table(prepared, scored, backtest),
        "decisions": decisions,
        "rules": rules,
    }
    run = _run(folder.name, Manifest.from_mapping(manifest), tables, {})
    excess, member = prepared.excess_member()
    part = slice(start, stop)
    known = np.where(prepared.labels.end < stop, excess, np.nan)  # a label that ends after the run is not the run's
    evaluation = evaluate(scored.scores[part], known[part], member[part], horizon=parameters.horizon)
    metrics = {**summary(run), **signal_metrics(evaluation), **decision_metrics(backtest)}
    write_run(folder, manifest, **tables, metrics=metrics)
    timings = {**prepared.seconds, **backtest.seconds, **(seconds or {})}
    (folder / "timings.json").write_text(json.dumps(timings, indent=2) + "\n")
    return _run(folder.name, run.manifest, tables, metrics)


def _run(name: str, manifest: Manifest, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, float]) -> Run:
    return Run(
        name, manifest, equity=tables["equity"], orders=tables["orders"], holdings=tables["holdings"],
        decisions=tables["decisions"], rules=tables["rules"], metrics=metrics,
    )  # fmt: skip
