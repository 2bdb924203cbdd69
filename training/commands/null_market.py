"""The command `null-market`: the whole pipeline on simulated markets whose signal is known."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from rich.box import SIMPLE_HEAD
from rich.table import Table

from quant50.parameters import Parameters
from reports.metrics import annual_turnover, beta, tbill_returns
from training.backtest import run_backtest
from training.commands.console import console, progress
from training.commands.train import last_weeks, weeks_of
from training.equal_weight import equal_weight
from training.evaluation import SESSIONS_PER_YEAR, Mean, auc, newey_west, rank_ic
from training.fit import FitParameters
from training.null_market import MINIMUM_SEEDS, Check, SeedFigures, excess_returns, net_alpha, pool, verdict
from training.prepared import Prepared
from training.sources.simulated import MarketParameters, SimulatedSource
from training.store.ingest import ingest
from training.walk_forward import score_sessions
from training.weekly import train_weeks

CASH = 1_000_000.0
PROCESSES = 2


def run_null_market(signal: float, first_seed: int, seeds: int, weeks: int) -> int:
    """Run the pipeline on the markets of some seeds, print what it found, and return the exit code.

    Whole seeds go to two processes; each keeps its store and models in a temporary folder that it removes.

    Returns
    -------
    0 inside the bands of `training.null_market.verdict`, else 1
    """
    chosen = range(first_seed, first_seed + seeds)
    jobs = (delayed(run_seed)(MarketParameters(seed=seed, signal=signal), weeks) for seed in chosen)
    with progress("simulated markets", seeds) as advance:
        found: list[SeedFigures] = []
        for figures in Parallel(n_jobs=min(PROCESSES, seeds), return_as="generator")(jobs):
            found.append(figures)
            advance(1)
    pooled = [pool([getattr(one, name) for one in found]) for name in ("ic", "auc", "alpha")]
    checks = verdict(signal, *pooled)
    console.print(render(found, pooled, signal, weeks))
    console.print(verdict_table(checks))
    return 0 if all(check.passed for check in checks) else 1


def run_seed(market: MarketParameters, weeks: int) -> SeedFigures:
    """Simulate, ingest, train, score and trade the last `weeks` weeks of one market, with the project's defaults.

    Raises
    ------
    DataError
        The market has fewer weeks.
    """
    parameters = Parameters()
    with tempfile.TemporaryDirectory(prefix="quant50_null_") as folder:
        store, storage = Path(folder) / "market.duckdb", Path(folder) / "storage"
        ingest(SimulatedSource(market), store)
        prepared = Prepared.load(store, parameters)
        dates = prepared.market.panel.dates
        start, stop = last_weeks(prepared, weeks)
        train_weeks(prepared.training_set(), weeks_of(prepared, start, stop), storage, FitParameters(), workers=1)
        scored = score_sessions(prepared, storage, parameters, start, stop)
    backtest = run_backtest(prepared, scored, parameters, CASH, start, stop)
    part = slice(start, stop)
    excess, member = prepared.excess_member()
    judged = scored.scores[part], excess[part], member[part]
    equity = np.asarray(backtest.ledger.days["equity"])
    idle = np.asarray(backtest.ledger.days["cash"]) / equity
    passive = equal_weight(prepared, start, stop, parameters.cost_multiplier)
    tbill = tbill_returns(prepared.market.rates[part], dates[part])
    return SeedFigures(
        seed=market.seed,
        ic=newey_west(rank_ic(*judged)),
        auc=newey_west(auc(*judged) - 0.5),
        alpha=net_alpha(equity, passive, tbill),
        beta=beta(excess_returns(equity, tbill), excess_returns(passive, tbill)),
        turnover=annual_turnover(np.array([d.turnover_chosen for d in backtest.decisions])),
        cash_drag=float((idle[:-1] * tbill[1:]).mean()) * SESSIONS_PER_YEAR,
    )


def render(found: Sequence[SeedFigures], pooled: Sequence[Mean], signal: float, weeks: int) -> Table:
    """One line a seed, and the pooled one."""
    caption = f"not real results; {pooled[0].sessions} sessions; ± Newey-West standard error, 10 lags in each seed"
    drag = np.mean([one.cash_drag for one in found])
    caption += f"\nof the net alpha, {-drag:+.2%} a year is cash that earns nothing while T-bills do"
    if len(found) < MINIMUM_SEEDS:
        caption += f"\nonly {len(found)} of at least {MINIMUM_SEEDS} seeds: the verdict is a weak one"
    table = Table(
        title=f"SIMULATED MARKETS with signal {signal:g}, last {weeks} weeks of each; alpha and turnover a year",
        caption=caption, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, collapse_padding=True,
    )  # fmt: skip
    for head in ("seed", "rank IC", "AUC − 0.5", "net alpha", "beta", "turnover"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in found:
        means = _means(one.ic, one.auc, one.alpha)
        table.add_row(str(one.seed), *means, f"{one.beta:.2f}", f"{one.turnover:.1f}")
    table.add_section()
    table.add_row("all", *_means(*pooled), "", "", style="bold")
    return table


def _means(ic: Mean, over: Mean, alpha: Mean) -> list[str]:
    forms = ("{:+.4f} ± {:.4f}", "{:+.4f} ± {:.4f}", "{:+.2%} ± {:.2%}")
    return [form.format(mean.value, mean.standard_error) for form, mean in zip(forms, (ic, over, alpha), strict=True)]


def verdict_table(checks: Sequence[Check]) -> Table:
    """The verdict, one line a check."""
    table = Table(title="Verdict (SIMULATED MARKETS)", title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    for head in ("check", "found", "band", "verdict"):
        table.add_column(head)
    for check in checks:
        table.add_row(check.name, check.found, check.band, "[green]pass[/]" if check.passed else "[red]FAIL[/]")
    return table
