"""Features written out for one window of 274 sessions: plain Python and pandas, nothing of the kernels."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from quant50.panel import Panel


def window_returns(panel: Panel, column: int) -> pd.DataFrame:
    """Returns of one ticker, one row a session; NaN up to the first bar."""
    rows, last = [], math.nan
    for t in range(len(panel.dates)):
        split, dividend = panel.split[t, column], panel.dividend[t, column]
        close, open_ = panel.close[t, column], panel.open[t, column]
        base = (last - dividend) / split
        if math.isnan(close):
            known = 0.0 if not math.isnan(last) else math.nan
            rows.append((known, known, known, known))
            last = base
        else:
            rows.append((close / base - 1, open_ / base - 1, close / open_ - 1, close * panel.volume[t, column]))
            last = close
    return pd.DataFrame(rows, columns=["total", "overnight", "intraday", "dollars"])


def raw_reference(panel: Panel, column: int) -> dict[str, float]:
    """Raw features of one ticker on the last of 274 sessions, but for those relative to the sector."""
    data = window_returns(panel, column).iloc[1:]
    market = window_returns(panel, panel.column("SPY")).iloc[1:].total.to_numpy()
    r = data.total.to_numpy()
    result: dict[str, float] = {}

    def tail(count: int, values: np.ndarray = r) -> np.ndarray:
        return values[-count:]

    for count in (1, 5, 21, 63, 126, 252):
        result[f"return_{count}"] = float(np.prod(1 + tail(count)) - 1)
    result["momentum_12_1"] = float(np.prod(1 + r[-252:-21]) - 1)
    for count in (5, 21, 63):
        result[f"volatility_{count}"] = float(np.std(tail(count), ddof=1))
    result["volatility_ratio"] = float(np.divide(result["volatility_5"], result["volatility_63"]))
    result["downside_volatility_63"] = float(np.sqrt(np.mean(np.minimum(tail(63), 0) ** 2)))

    since = data.total.dropna()
    moves = pd.DataFrame({"gain": since.clip(lower=0), "loss": -since.clip(upper=0)})
    if len(since) >= 14 and moves.to_numpy().any():
        gain, loss = moves.ewm(alpha=1 / 14, adjust=True).mean().iloc[-1]
        result["relative_strength_14"] = float(gain / (gain + loss))
    else:
        result["relative_strength_14"] = 0.5 if len(since) >= 14 else math.nan
    index = pd.Series(np.concatenate([[1.0], np.cumprod(1 + since)]))
    averages = [index.ewm(span=span, adjust=False).mean().iloc[-1] for span in (12, 26)]
    result["macd"] = (averages[0] - averages[1]) / index.iloc[-1] if len(since) >= 26 else math.nan

    closes = index.to_numpy()[-252:] if len(index) >= 252 else np.array([math.nan])
    result["distance_high_252"] = float(closes[-1] / closes.max() - 1)
    result["distance_low_252"] = float(closes[-1] / closes.min() - 1)

    year, market_year = tail(252), market[-252:]
    fit = np.full(2, math.nan)
    residual = math.nan
    if np.isfinite(year).all() and np.isfinite(market_year).all():
        design = np.column_stack([np.ones(252), market_year])
        fit = np.linalg.lstsq(design, year, rcond=None)[0]
        residual = float(np.sqrt(np.sum((year - design @ fit) ** 2) / 250))
    result["beta_252"] = float(fit[1])
    result["residual_volatility_252"] = residual
    past = np.sum(year[:-21] - fit[1] * market_year[:-21])
    result["residual_momentum"] = float(past / residual) if residual > 0 else math.nan

    dollars = data.dollars.to_numpy()
    traded = tail(21, dollars) > 0
    impact = np.abs(tail(21))[traded] / tail(21, dollars)[traded]
    result["illiquidity_21"] = float(np.mean(impact)) if np.isfinite(tail(21)).all() and traded.any() else math.nan
    result["dollar_volume_21"] = float(np.mean(tail(21, dollars)))
    result["dollar_volume_change"] = float(np.mean(tail(21, dollars)) / np.mean(tail(126, dollars)))
    result["overnight_less_intraday_21"] = float(np.sum(tail(21, (data.overnight - data.intraday).to_numpy())))
    result["maximum_return_21"] = float(np.max(tail(21)))
    spread = np.std(tail(63))
    result["skewness_63"] = float(stats.skew(tail(63))) if spread > 0 else math.nan
    return result


def reference(panel: Panel) -> dict[str, np.ndarray]:
    """Raw features of every member stock on the last of 274 sessions, (N,) each; NaN for the rest."""
    stocks = np.flatnonzero(panel.member[-1] & ~panel.is_etf)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = {column: raw_reference(panel, column) for column in stocks}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    sector = pd.Series(panel.sector[-1][stocks], index=stocks)
    frame["reversal_5"] = -(frame.return_5 - frame.return_5.groupby(sector).transform("mean"))
    frame["sector_momentum"] = frame.momentum_12_1 - frame.momentum_12_1.groupby(sector).transform("mean")
    frame = frame.reindex(range(len(panel.tickers)))
    return {name: frame[name].to_numpy() for name in frame}
