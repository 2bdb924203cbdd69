"""Series beside the bars: T-bill rate, VIX, and the factors of the market."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.sources.simulated.market import SimulatedMarket
from training.sources.simulated.parameters import MarketParameters, stream
from training.sources.simulated.volatility import Floats, autoregression


def treasury_bill(parameters: MarketParameters, market: SimulatedMarket) -> pd.DataFrame:
    """Three-month T-bill, percent a year: a slow path between 0.02 and 2.5."""
    path = autoregression(stream(parameters, "rates"), (len(market.dates),), 350.0, 2.0)
    return pd.DataFrame({"date": _days(market), "dtb3": np.round(0.02 + 2.48 / (1.0 + np.exp(1.0 - path)), 2)})


def vix(parameters: MarketParameters, market: SimulatedMarket) -> pd.DataFrame:
    """VIX: the market's true volatility drawn towards its mean, with a premium and noise; open, high, low, close."""
    generator = stream(parameters, "vix")
    sessions = len(market.dates)
    annual = 100.0 * np.sqrt(252.0) * market.market_volatility
    usual = 100.0 * np.sqrt(252.0) * parameters.market_deviation
    level = 1.2 * annual**0.85 * usual**0.15
    close = level * np.exp(autoregression(generator, (sessions,), 5.0, 0.06))
    opening = np.append(close[0], close[:-1]) ** 0.7 * close**0.3 * np.exp(0.02 * generator.standard_normal(sessions))
    reach = np.exp(0.03 * np.abs(generator.standard_normal((2, sessions))))
    high, low = np.maximum(opening, close) * reach[0], np.minimum(opening, close) / reach[1]
    values = {"open": opening, "high": high, "low": low, "close": close}
    return pd.DataFrame({"date": _days(market), **{name: np.round(value, 2) for name, value in values.items()}})[1:]


def factors(parameters: MarketParameters, market: SimulatedMarket) -> pd.DataFrame:
    """Long-short factors, percent a session: size and momentum of the stocks, the others of drawn characteristics."""
    stocks = market.stocks
    change = np.zeros((len(market.dates), stocks))
    change[1:] = market.levels.close[1:] / market.levels.close[:-1] - 1.0
    review = np.maximum(np.searchsorted(market.reviews, np.arange(len(market.dates)), side="left") - 1, 0)
    listed = market.members
    past = np.maximum(market.reviews - 252, 0)
    momentum = market.levels.close[market.reviews] / market.levels.close[past]
    drawn = stream(parameters, "factors").standard_normal((3, 1, stocks)) * np.ones((len(market.reviews), 1))
    sorts = {"smb": -market.weights, "hml": drawn[0], "rmw": drawn[1], "cma": drawn[2], "mom": momentum}
    rate = treasury_bill(parameters, market).dtb3.to_numpy() / 252.0
    frame = {"date": _days(market), "mkt_rf": 100.0 * (market.weights[review] * change).sum(axis=1) - rate}
    for name, characteristic in sorts.items():
        frame[name] = 100.0 * (_long_short(characteristic, listed)[review] * change).sum(axis=1)
    frame["rf"] = rate
    return pd.DataFrame(frame).round({name: 4 for name in frame if name != "date"})[1:]


def _long_short(characteristic: Floats, listed: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Floats:
    """Equal weights +1 in all on the top 30 % of each row's listed stocks and −1 on the bottom 30 %, (K, N)."""
    values = np.where(listed, characteristic, np.nan)
    low, high = np.nanquantile(values, [0.3, 0.7], axis=1)[:, :, None]
    top, bottom = values >= high, values <= low
    return np.asarray(top / top.sum(axis=1, keepdims=True) - bottom / bottom.sum(axis=1, keepdims=True))


def _days(market: SimulatedMarket) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(market.dates.astype("datetime64[ns]"))
