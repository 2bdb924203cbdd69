"""Bands of the stylised facts, measured on real windows, and the function that measured them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from quant50.errors import DataError
from training.stylised_facts import WINDOW, Floats, Sample, window_facts

PERCENTILES: Final[tuple[float, float]] = (5.0, 95.0)

BANDS: Final[dict[str, tuple[float, float]]] = {
    "annual volatility": (0.2144, 0.3835),
    "market volatility": (0.1206, 0.2899),
    "pair correlation": (0.2696, 0.4813),
    "kurtosis": (3.3387, 8.4297),
    "market kurtosis": (1.2611, 10.9682),
    "tail exponent": (2.5942, 3.5017),
    "autocorrelation of returns": (-0.0942, -0.0046),
    "autocorrelation of |r|, lag 1": (0.0984, 0.3019),
    "autocorrelation of |r|, lags 20-40": (0.0091, 0.1183),
    "leverage effect": (-0.0505, -0.0197),
    "market leverage effect": (-0.0979, -0.0378),
    "overnight share of variance": (0.2544, 0.3826),
    "overnight kurtosis": (7.6818, 20.2387),
    "intraday kurtosis": (1.9146, 5.0806),
    "overnight against intraday": (-0.0351, 0.0564),
    "range against |r|": (1.6629, 1.8423),
    "dispersion": (0.0128, 0.0198),
    "volume against |r|": (0.3374, 0.4305),
    "autocorrelation of log volume": (0.5417, 0.5880),
    "dividends a year": (2.9441, 3.3372),
    "splits a year": (0.0087, 0.0271),
}
"""5 to 95 % over the six disjoint windows of 504 sessions from 2009-01-05 on (to early 2021) of the S&P 500 members of
each window's first session with complete bars (489 to 504 stocks), by `measure_bands`. Six windows are few: the band is
nearly their minimum and maximum, so it is narrow for facts that hardly vary from window to window (log volume)."""


def measure_bands(folder: Path) -> dict[str, tuple[float, float]]:
    """5 to 95 % of each fact over the disjoint two-year windows of a folder of Parquet files.

    Parameters
    ----------
    folder : bars.parquet, actions.parquet and index_holdings.parquet as in ../shared/data/market

    Raises
    ------
    DataError
        A file is missing or the bars are shorter than one window.
    """
    every = [window_facts(sample) for sample in real_windows(folder)]
    return {name: tuple(np.percentile([one[name] for one in every], PERCENTILES)) for name in every[0]}


def real_windows(folder: Path, window: int = WINDOW) -> list[Sample]:
    """The disjoint windows, oldest first from the first session; each holds the index members of its first session.

    A stock counts where it is in the last index holdings before the window. The rest after the last whole window is
    left out. Stocks without a complete set of bars are left to `window_facts`, which drops them.
    """
    for name in ("bars", "actions", "index_holdings"):
        if not (folder / f"{name}.parquet").is_file():
            raise DataError(f"stylised bands: {folder / name}.parquet is missing")
    sample, dates, tickers = _real_sample(folder)
    holdings = pd.read_parquet(folder / "index_holdings.parquet", columns=["date", "ticker"])
    holdings["date"] = pd.to_datetime(holdings.date)
    if len(dates) <= window:
        raise DataError(f"stylised bands: {len(dates)} sessions are fewer than one window of {window}")
    found = []
    for start in range(1, len(dates) - window + 1, window):
        before = holdings[holdings.date < dates[start]]
        members = set(before[before.date == before.date.max()].ticker.dropna())
        chosen = np.array([ticker in members for ticker in tickers])
        found.append(sample.take(slice(start, start + window), chosen))
    return found


def _real_sample(folder: Path) -> tuple[Sample, pd.DatetimeIndex, list[str]]:
    """All stocks of the folder as one sample, with its sessions and tickers."""
    bars = pd.read_parquet(folder / "bars.parquet")
    bars["date"] = pd.to_datetime(bars.date)
    wide = bars.pivot(index="date", columns="ticker")
    dates, tickers = pd.DatetimeIndex(wide.index), [str(ticker) for ticker in wide["close"].columns]
    actions = pd.read_parquet(folder / "actions.parquet", columns=["date", "ticker", "kind", "value"])
    actions["date"] = pd.to_datetime(actions.date)

    def spread(kinds: list[str], aggregate: Literal["prod", "sum"], fill: float) -> Floats:
        chosen = actions[actions.kind.isin(kinds)]
        grid = chosen.pivot_table(index="date", columns="ticker", values="value", aggfunc=aggregate)
        return grid.reindex(index=dates, columns=tickers).fillna(fill).to_numpy(float)

    split, cash = spread(["split"], "prod", 1.0), spread(["dividend", "spinoff"], "sum", 0.0)
    regular = spread(["dividend"], "sum", 0.0)
    opening, high, low, close, volume = (
        wide[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")
    )
    # a dividend is per NEW share here, as in the data's README: total return = split · (close + cash) / previous close
    base = np.full(close.shape, np.nan)
    base[1:] = close[:-1]
    return (
        Sample(
            returns=split * (close + cash) / base - 1.0,
            overnight=split * (opening + cash) / base - 1.0,
            intraday=close / opening - 1.0,
            range=np.log(high / low),
            dollar_volume=close * volume,
            dividends=(regular > 0).astype(float),
            splits=(split != 1).astype(float),
        ),
        dates,
        tickers,
    )
