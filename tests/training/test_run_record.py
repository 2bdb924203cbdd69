"""The run folder: what is written is what happened, and the reader of the reports takes it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant50.groups import GROUPS, MARKET
from reports.run_folder import Run, read_run
from tests.training.small_market import CASH, PARAMETERS, SmallMarket, small_market, with_events
from training.backtest import Backtest
from training.prepared import Prepared
from training.run_record import orders_table, record, total_return_index
from training.simulator.broker import DELISTING
from training.simulator.orders import RECORD, Status


@pytest.fixture(scope="module")
def market() -> SmallMarket:
    return small_market()


@pytest.fixture(scope="module")
def prepared(market: SmallMarket) -> Prepared:
    """The market with a split, a delisting and a hole in stocks of the sessions traded."""
    row = market.start + 15
    stocks = np.flatnonzero(~market.prepared.market.panel.is_etf)
    return with_events(market.prepared, (row, stocks[3]), (row + 1, stocks[7]), (row, stocks[9]))


@pytest.fixture(scope="module")
def backtest(market: SmallMarket, prepared: Prepared) -> Backtest:
    return market.backtest(prepared)


@pytest.fixture(scope="module")
def written(
    market: SmallMarket, prepared: Prepared, backtest: Backtest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("runs") / "small"
    run = record(
        folder, prepared, market.scored(prepared), backtest, PARAMETERS,
        cash=CASH, kind="lightgbm", trials=3, seed=5, seconds={"trainings": 1.5},
    )  # fmt: skip
    return folder, run


def test_the_reader_reads_what_was_recorded(written: tuple[Path, Run]) -> None:
    folder, run = written
    again = read_run(folder)
    for table in ("equity", "orders", "holdings", "decisions", "rules"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(run, table))
        assert len(getattr(again, table)) > 0, table
    assert set(again.metrics) == set(run.metrics)
    for name, value in run.metrics.items():
        assert again.metrics[name] == pytest.approx(value, nan_ok=True), name


def test_manifest_says_what_the_run_was_made_of(
    written: tuple[Path, Run], market: SmallMarket, prepared: Prepared
) -> None:
    folder, _ = written
    dates = prepared.market.panel.dates
    raw = json.loads((folder / "manifest.json").read_text())
    assert raw["market"]["simulated"] is True
    assert raw["market"]["data_hash"] == prepared.market.data_hash
    assert raw["parameters"] == asdict(PARAMETERS)
    assert (raw["start"], raw["end"]) == (str(dates[market.start]), str(dates[market.stop - 1]))
    assert (raw["seed"], raw["trials"], raw["initial_cash"], raw["cost_multiplier"]) == (5, 3, CASH, 1.0)
    assert raw["model"]["kind"] == "lightgbm"
    assert len(raw["model"]["weeks"]) == len(set(market.scored().model[market.start :]))
    assert set(raw["names"]) == set(read_run(folder).holdings["ticker"])
    assert {"numpy", "lightgbm", "cvxpy"} <= set(raw["versions"])


def test_wall_times_are_in_timings_alone(written: tuple[Path, Run]) -> None:
    folder, _ = written
    assert json.loads((folder / "timings.json").read_text())["trainings"] == 1.5
    assert "seconds" not in (folder / "manifest.json").read_text() + (folder / "metrics.json").read_text()


def test_metrics_of_the_scores(
    written: tuple[Path, Run], market: SmallMarket, prepared: Prepared, backtest: Backtest
) -> None:
    _, run = written
    part = slice(market.start, market.stop)
    panel = prepared.market.panel
    shown = np.where((panel.member & ~panel.is_etf)[part], prepared.labels.excess[part], np.nan)
    daily = [
        pd.Series(scores).corr(pd.Series(excess), method="spearman")
        for scores, excess in zip(market.scored(prepared).scores[part], shown, strict=True)
        if np.isfinite(excess).sum() > 2
    ]
    assert run.metrics["rank_ic"] == pytest.approx(np.mean(daily), abs=1e-9)
    assert run.metrics["rank_ic_t"] == pytest.approx(run.metrics["rank_ic"] / run.metrics["rank_ic_standard_error"])
    assert 0.3 < run.metrics["auc"] < 0.7
    assert math.isfinite(run.metrics["icir"])
    assert sum(run.metrics[f"days_on_rung_{n}"] for n in (1, 2, 3, 4)) == len(backtest.decisions)
    assert run.metrics["largest_holdings"] == max(np.count_nonzero(row) for row in backtest.ledger.shares)
    assert run.metrics["total_return"] == pytest.approx(backtest.ledger.days["equity"][-1] / CASH - 1)


def test_equity_table(written: tuple[Path, Run], market: SmallMarket, prepared: Prepared, backtest: Backtest) -> None:
    _, run = written
    table, panel = run.equity, prepared.market.panel
    assert np.array_equal(run.dates, panel.dates[market.start : market.stop])
    assert np.array_equal(run.column("equity", "equity"), backtest.ledger.days["equity"])
    held = run.holdings.assign(value=run.holdings["shares"] * run.holdings["close"]).groupby("date")["value"].sum()
    value = held.reindex(table["date"], fill_value=0.0).to_numpy()
    assert table["cash"].to_numpy() + value == pytest.approx(table["equity"].to_numpy())
    assert (table["invested"] * table["equity"]).to_numpy() == pytest.approx(value, abs=1e-3)
    moves = prepared.returns.total[market.start + 1 : market.stop, panel.column(MARKET)]
    assert table["benchmark"][0] == CASH
    assert table["benchmark"].pct_change()[1:].to_numpy() == pytest.approx(moves, abs=1e-12)
    assert total_return_index(prepared, MARKET, market.start, market.stop)[0] == 1.0
    assert np.isfinite(prepared.returns.total[market.start, panel.column(MARKET)])  # left as it was


def test_holdings_table(written: tuple[Path, Run], prepared: Prepared) -> None:
    _, run = written
    table = run.holdings.merge(run.equity[["date", "equity"]], on="date")
    assert (table["weight"] * table["equity"]).to_numpy() == pytest.approx(
        (table["shares"] * table["close"]).to_numpy()
    )
    assert set(table["group"]) <= set(GROUPS)
    funds = {prepared.market.panel.tickers[n] for n in np.flatnonzero(prepared.market.panel.is_etf)}
    scored = table["score"].notna()
    assert not scored[table["ticker"].isin(funds)].any()
    assert scored[~table["ticker"].isin(funds)].mean() > 0.9


def test_orders_table_reconciles_with_the_ledger(written: tuple[Path, Run], backtest: Backtest) -> None:
    _, run = written
    table, orders = run.orders, backtest.ledger.orders
    assert len(table) == len(orders)
    filled = table[table["status"] == "filled"]
    assert (filled["filled"] == filled["quantity"]).all()
    assert (filled["fill_date"] > filled["decision_date"])[filled["reason"] != DELISTING].all()
    spent = (filled["filled"] * filled["fill_price"]).sum()
    done = orders[orders["status"] == Status.FILLED]
    assert spent == pytest.approx(float(done["quantity"] @ done["price"]))
    rest = table[table["status"] != "filled"]
    assert len(rest) > 0  # at least those of the last session
    assert rest["fill_date"].isna().all()
    assert rest["fill_price"].isna().all()
    assert not rest[["filled", "fee", "slippage"]].to_numpy().any()


def test_refused_orders_get_numbers_of_their_own(prepared: Prepared, market: SmallMarket, backtest: Backtest) -> None:
    """LEAN gives them none (0): they are numbered after all others, and none keeps 0."""
    orders = backtest.ledger.orders.copy()
    refused = np.zeros(3, dtype=RECORD)
    refused["submitted"] = [market.start + 2, market.start, market.start + 2]
    refused["finished"] = refused["submitted"]
    refused["quantity"], refused["status"] = 7, Status.REFUSED
    both = np.concatenate([orders[:5], refused, orders[5:]])
    reasons = (*backtest.ledger.reasons[:5], "a", "b", "c", *backtest.ledger.reasons[5:])
    ledger = replace(backtest.ledger, orders=both, reasons=reasons)
    table = orders_table(prepared, replace(backtest, ledger=ledger))
    assert table["id"].is_unique
    assert (table["id"] > 0).all()
    highest = int(orders["id"].max())
    numbers = table[table["status"] == "refused"].set_index("reason")["id"].to_dict()
    assert [numbers[reason] for reason in "abc"] == [highest + 1, highest + 2, highest + 3]
    others = table[table["status"] != "refused"]
    assert sorted(others["id"]) == sorted(orders["id"][orders["id"] > 0])
    assert others["decision_date"].is_monotonic_increasing


def test_decisions_and_rules_tables(written: tuple[Path, Run], market: SmallMarket, backtest: Backtest) -> None:
    _, run = written
    assert list(run.decisions["model"]) == list(market.scored().model[market.start :])
    assert list(run.decisions["holdings"]) == [np.count_nonzero(d.shares) for d in backtest.decisions]
    acted = sorted((d.date, a.ticker, a.rule) for d in backtest.decisions for a in d.actions)
    table = run.rules[~run.rules["rule"].isin(["limit broken", "no score"])]
    assert sorted(zip(table["date"].dt.strftime("%Y-%m-%d"), table["ticker"], table["rule"], strict=True)) == acted
    assert run.rules["date"].is_monotonic_increasing
