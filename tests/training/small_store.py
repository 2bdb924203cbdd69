"""A small market as a Parquet folder, made here, and the source that reads it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import exchange_calendars
import numpy as np
import pandas as pd

from training.sources.parquet_folder import ParquetFolder
from training.sources.records import COLUMNS


def frames(stocks: int = 24, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Valid records of 2015: SPY and XLE, stocks S00 … with monthly holdings, one action or two each."""
    generator = np.random.default_rng(seed)
    days = pd.DatetimeIndex(exchange_calendars.get_calendar("XNYS", start="2015-01-02", end="2015-12-31").sessions)
    tickers = ["SPY", "XLE", *(f"S{k:02d}" for k in range(stocks))]
    bars, actions, assets = [], [], []
    for ticker in tickers:
        close = 50 * np.exp(np.cumsum(generator.normal(0, 0.01, len(days)))).round(4)
        start = close * np.exp(generator.normal(0, 0.003, len(days)))
        high, low = np.maximum(start, close) * 1.002, np.minimum(start, close) * 0.998
        volume = generator.integers(10_000, 99_999, len(days))
        columns = {"open": start, "high": high, "low": low, "close": close, "volume": volume}
        bars.append(pd.DataFrame({"ticker": ticker, "date": days, **columns}))
        actions.append((ticker, days[int(generator.integers(1, 200))], "dividend", 0.25, None))
        kind = "etf" if ticker in ("SPY", "XLE") else "stock"
        assets.append((ticker, f"{ticker} Inc", kind, "Energy", days[0], days[-1], None))
    actions.append(("S00", days[100], "split", 2.0, "two for one"))
    month_ends = pd.DatetimeIndex(["2014-12-31", *(days[days.month == m][-1] for m in range(1, 12))])
    holdings = [
        (day, ticker, ticker, f"{ticker} Inc", "Energy" if k % 2 else "Utilities", float(weight))
        for day in month_ends
        for k, (ticker, weight) in enumerate(zip(tickers[2:], generator.dirichlet(np.ones(stocks)), strict=True))
    ]
    other = pd.bdate_range("2014-12-15", "2015-12-31")
    made = {
        "bars": pd.concat(bars, ignore_index=True),
        "actions": pd.DataFrame(actions, columns=list(COLUMNS["actions"])),
        "assets": pd.DataFrame(assets, columns=list(COLUMNS["assets"])),
        "index_holdings": pd.DataFrame(holdings, columns=list(COLUMNS["index_holdings"])),
        "rates": pd.DataFrame({"date": other, "dtb3": np.arange(len(other)) / 100}),
        "vix": pd.DataFrame(
            {"date": other, "open": 20.0, "high": 21.0, "low": 19.0, "close": np.arange(len(other)) + 10.0}
        ),
        "factors": pd.DataFrame({"date": other, **dict.fromkeys(COLUMNS["factors"][1:], 0.01)}),
    }
    return {table: frame[list(COLUMNS[table])] for table, frame in made.items()}


def written(folder: Path, tables: dict[str, pd.DataFrame]) -> ParquetFolder:
    """The tables as a Parquet folder, read in pieces of two tickers."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, frame in tables.items():
        frame.to_parquet(folder / f"{table}.parquet")
    return ParquetFolder(folder, complete_to=date(2015, 12, 31), tickers_per_batch=2)
