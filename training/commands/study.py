"""The command `study`: the strategy beside its baselines, on the same days, at 0, 1 and 2 times the costs."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from rich.table import Table

from quant50.groups import MARKET
from quant50.panel import Floats
from quant50.parameters import Parameters
from reports import metrics as figures
from reports.inference import sharpe_standard_error
from reports.run_folder import Run
from training.backtest import run_backtest
from training.commands.console import console
from training.commands.train import counted, train_range, weeks_of
from training.equal_weight import equal_weight
from training.fit import FitParameters
from training.prepared import Prepared
from training.run_record import record, total_return_index
from training.walk_forward import score_sessions

KINDS = ("lightgbm", "ridge", "momentum", "none")
MULTIPLIERS = (1.0, 0.0, 2.0)
CAPTION = (
    "The multiplier is known to the decisions too, so lines of one strategy differ in trades, not in costs alone. "
    "No score: neither signal nor its uncertainty penalty."
)
TRIALS = len(KINDS)
"""Kinds of score tried; the cost multipliers are no choice of ours."""


@dataclass(frozen=True)
class Line:
    """One line of the study's table; fractions a year, NaN where a figure has no meaning."""

    strategy: str
    costs: float
    cagr: float
    volatility: float
    sharpe: float
    sharpe_standard_error: float
    maximum_drawdown: float
    turnover_chosen: float
    turnover_forced: float
    holdings: float
    rank_ic: float
    rank_ic_t: float
    auc: float
    deflated_sharpe: float


def run_study(
    store: Path,
    storage: Path,
    runs: Path,
    name: str,
    start: np.datetime64 | None,
    end: np.datetime64 | None,
    cash: float,
) -> list[Line]:
    """Train every kind, trade every kind at every cost, print one table and write it to runs/NAME.json."""
    prepared = Prepared.load(store, Parameters())
    first, stop = prepared.rows(start, end)
    seconds = {}
    for kind in KINDS:
        begun = time.perf_counter()
        results = train_range(prepared, storage / kind, weeks_of(prepared, first, stop), FitParameters(kind=kind))
        seconds[kind] = time.perf_counter() - begun
        console.print(f"{kind}: {counted(results)}, {seconds[kind]:.0f} s")
    jobs = [(kind, multiplier) for multiplier in MULTIPLIERS for kind in KINDS]
    runs_of = Parallel(n_jobs=2)(
        delayed(trade)(store, storage, runs / f"{name}_{kind}_{multiplier:g}x", kind, multiplier, first, stop, cash)
        for kind, multiplier in jobs
    )
    lines = [_line(run, kind, multiplier) for run, (kind, multiplier) in zip(runs_of, jobs, strict=True)]
    reference = runs_of[jobs.index(("lightgbm", 1.0))]
    lines += [
        _passive(prepared, "equal weight", m, equal_weight(prepared, first, stop, m), first, stop) for m in MULTIPLIERS
    ]
    lines += _market_lines(prepared, reference, first, stop)
    table = render(lines, reference)
    console.print(table)
    (runs / f"{name}.json").write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    return lines


def trade(
    store: Path, storage: Path, folder: Path, kind: str, multiplier: float, first: int, stop: int, cash: float
) -> Run:
    """One backtest of the study, in a process of its own."""
    parameters = Parameters(cost_multiplier=multiplier)
    prepared = Prepared.load(store, parameters)
    scored = score_sessions(prepared, storage / kind, parameters, first, stop)
    backtest = run_backtest(prepared, scored, parameters, cash, first, stop)
    fit = FitParameters(kind=kind).mapping()
    return record(folder, prepared, scored, backtest, parameters, cash=cash, kind=kind, trials=TRIALS, fit=fit)


def _line(run: Run, kind: str, multiplier: float) -> Line:
    m = run.metrics
    return Line(
        {"none": "no score (risk model only)", "momentum": "12-1 momentum"}.get(kind, kind), multiplier,
        m["cagr"], m["volatility"], m["sharpe"], m["sharpe_standard_error"], m["maximum_drawdown"],
        m["turnover_chosen"], m["turnover_forced"], m["mean_holdings"], m["rank_ic"], m["rank_ic_t"], m["auc"],
        m["deflated_sharpe"],
    )  # fmt: skip


def _passive(prepared: Prepared, name: str, multiplier: float, levels: Floats, first: int, stop: int) -> Line:
    """Figures of a series of equity levels (n,) that has no decisions."""
    dates = prepared.market.panel.dates[first:stop]
    moves = levels[1:] / levels[:-1] - 1.0
    excess = moves - figures.tbill_returns(prepared.market.rates[first:stop], dates)[1:]
    nothing = float("nan")
    return Line(
        name, multiplier, figures.cagr(float(levels[-1] / levels[0] - 1.0), dates[0], dates[-1]),
        figures.annual_volatility(moves), figures.sharpe(excess),
        sharpe_standard_error(excess), figures.maximum_drawdown(levels).depth,
        nothing, nothing, nothing, nothing, nothing, nothing, nothing,
    )  # fmt: skip


def _market_lines(prepared: Prepared, reference: Run, first: int, stop: int) -> list[Line]:
    """SPY held, and SPY with T-bills at the volatility that the strategy had (known only afterwards)."""
    index = total_return_index(prepared, MARKET, first, stop)
    dates = prepared.market.panel.dates[first:stop]
    tbill = figures.tbill_returns(prepared.market.rates[first:stop], dates)[1:]
    moves = index[1:] / index[:-1] - 1.0
    share = reference.metrics["volatility"] / figures.annual_volatility(moves)
    scaled = np.concatenate([[1.0], np.cumprod(1.0 + share * moves + (1.0 - share) * tbill)])
    return [
        _passive(prepared, "SPY", 0.0, index, first, stop),
        _passive(prepared, f"SPY x {share:.2f} + T-bills", 0.0, scaled, first, stop),
    ]


def render(lines: list[Line], reference: Run) -> Table:
    """The study's table."""
    table = Table(
        title=f"{reference.manifest.description}, {reference.manifest.start} to {reference.manifest.end}",
        caption=CAPTION + (" SIMULATED MARKET, not real results." if reference.manifest.simulated else ""),
    )
    heads = "strategy|costs|CAGR|volatility|Sharpe ± s.e.|max drawdown|turnover chosen|forced|holdings|"
    heads += "rank IC (t)|AUC|deflated Sharpe"
    for head in heads.split("|"):
        table.add_column(head, justify="left" if head == "strategy" else "right")

    def show(value: float, form: str) -> str:
        return "" if np.isnan(value) else form.format(value)

    for line in lines:
        table.add_row(
            line.strategy, f"{line.costs:g}x", f"{line.cagr:.2%}", f"{line.volatility:.2%}",
            f"{line.sharpe:.2f} ± {line.sharpe_standard_error:.2f}", f"{line.maximum_drawdown:.2%}",
            show(line.turnover_chosen, "{:.1f}"), show(line.turnover_forced, "{:.1f}"), show(line.holdings, "{:.1f}"),
            show(line.rank_ic, "{:.4f}") + show(line.rank_ic_t, " ({:.1f})"), show(line.auc, "{:.4f}"),
            show(line.deflated_sharpe, "{:.2f}"),
        )  # fmt: skip
    return table
