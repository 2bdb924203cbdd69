"""A small synthetic run folder for tests of the reports: random walks by seed, no market in them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quant50.groups import ETF_GROUPS, SECTORS
from quant50.parameters import Parameters
from reports.run_folder import write_run
from reports.run_tables import TABLES

CASH = 1_000_000.0


def make_tables(
    sessions: int = 260, holdings: int = 24, last_orders: int = 9, seed: int = 7, long_names: bool = False
) -> dict[str, Any]:
    """Keyword arguments of `write_run`: `holdings` names at each close, `last_orders` orders of the last session."""
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2019-01-02", periods=sessions)
    market = np.concatenate([[0.0], 0.0004 + 0.010 * rng.standard_t(5, sessions - 1)])
    own = 0.6 * market + np.concatenate([[0.0], 0.0002 + 0.004 * rng.standard_normal(sessions - 1)])
    equity, benchmark = CASH * np.cumprod(1 + own), CASH * np.cumprod(1 + market)
    tickers = sorted([f"T{i:03d}" for i in range(holdings - 2)] + ["GLD", "SPY"])[:holdings]
    groups = [ETF_GROUPS.get(t) or SECTORS[i % 11] for i, t in enumerate(tickers)]
    weight = rng.uniform(0.5, 1.5, holdings)
    weight = np.minimum(0.05, 0.93 * weight / weight.sum())
    first_held = min(1, sessions - 1)
    held = [
        pd.DataFrame(
            {"date": d, "ticker": tickers, "shares": 100, "close": weight * e / 100, "weight": weight, "group": groups,
             "score": np.where(np.isin(tickers, list(ETF_GROUPS)), np.nan, np.round(rng.standard_normal(holdings), 4))}
        )
        for d, e in zip(dates[first_held:], equity[first_held:], strict=True)
    ]  # fmt: skip
    return {
        "manifest": make_manifest(dates, tickers, long_names),
        "equity": pd.DataFrame(
            {"date": dates, "equity": equity, "cash": equity * (1 - weight.sum()), "positions": holdings,
             "invested": weight.sum(), "turnover_chosen": rng.uniform(0, 0.1, sessions), "turnover_forced": 0.001,
             "benchmark": benchmark, "tbill": 0.00008, "guard_exposure": 1.0}
        ),
        "orders": make_orders(dates, last_orders, rng, tickers),
        "holdings": pd.concat(held, ignore_index=True),
        "decisions": pd.DataFrame(
            {"date": dates, "rung": 1, "status": "optimal", "holdings": holdings, "predicted_volatility": 0.094,
             "exposure_limit": 1.0, "turnover_chosen": 0.05, "turnover_forced": 0.001,
             "model": str(dates[max(0, sessions - 4)].date()), "solve_error": ""}
        ),
        "rules": pd.DataFrame(
            {"date": [dates[-1]] * 3, "ticker": tickers[:3], "rule": ["stop-loss", "stop-loss", "forced exit"],
             "detail": ""}
        ),
        "metrics": {"sharpe": 1.0, "recovery_sessions": float("nan")},
    }  # fmt: skip


def make_orders(
    dates: pd.DatetimeIndex, last_orders: int, rng: np.random.Generator, tickers: list[str]
) -> pd.DataFrame:
    """Three orders each session, `last_orders` of the last session; one open order decided at the last close."""
    rows = []
    for row in range(1, len(dates)):
        for i in range(last_orders if row == len(dates) - 1 else 3):
            quantity, price = (
                int(rng.integers(1, 40)) * 25 * (-1 if i % 3 == 0 else 1),
                round(float(rng.uniform(20, 300)), 2),
            )
            fill = round(price * (1 + 0.002 * float(rng.standard_normal())), 2)
            rows.append((dates[row - 1], dates[row], tickers[i % len(tickers)], quantity, quantity, price, fill,
                         round(abs(quantity) * price * 1e-4, 2), 0.05 * (quantity < 0), "filled",
                         "target weight"))  # fmt: skip
    rows.append((dates[-1], pd.NaT, tickers[0], 25, 0, 50.0, np.nan, 0.0, 0.0, "open", "target weight"))
    frame = pd.DataFrame(rows, columns=list(TABLES["orders"])[1:])
    frame.insert(0, "id", range(1, len(frame) + 1))
    return frame


def make_manifest(dates: pd.DatetimeIndex, tickers: list[str], long_names: bool) -> dict[str, Any]:
    """A manifest with every key; company names of 70 characters and a long description if asked for."""
    long = " of Delaware and the Greater Württemberg Holding & Trust Corporation, Class A"
    return {
        "market": {
            "simulated": True,
            "description": "simulated market, seed 7, signal 0.03"
            + (", with a description that runs on" * 8 if long_names else ""),
            "data_hash": "9f" * 32,
        },
        "names": {t: f"{t.title()} Industries" + (long if long_names else "") for t in tickers},
        "parameters": asdict(Parameters()),
        "versions": {"numpy": "1.26.4"},
        "seed": 7,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "start": str(dates[0].date()),
        "end": str(dates[-1].date()),
        "initial_cash": CASH,
        "cost_multiplier": 1.0,
        "model": "lightgbm",
        "trials": 12,
    }


def make_run(folder: Path, **options: Any) -> Path:
    """Write the run of `make_tables(**options)` to `folder` and return it."""
    write_run(folder, **make_tables(**options))
    return folder
