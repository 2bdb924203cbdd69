"""One simulated market as arrays: everything the source yields as records, and the truth behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import exchange_calendars
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant50.groups import ETF_GROUPS, SECTORS
from training.sources.simulated import bars as bar
from training.sources.simulated import corporate
from training.sources.simulated.corporate import Bools, Company, Ints
from training.sources.simulated.parameters import BURN_IN, MarketParameters, stream
from training.sources.simulated.returns import Levels, levels
from training.sources.simulated.volatility import Floats, Shocks, shocks
from training.stylised_facts import Sample


@dataclass(frozen=True)
class SimulatedMarket:
    """T sessions × M tickers (the N stocks, then the ETFs); prices rounded to the cent, NaN where there is no bar.

    Row 0 is the session BEFORE the first one shown: it dates the first index holdings and has no bars.

    Attributes
    ----------
    dates : (T,) datetime64[D]; tickers : M symbols, stocks first
    open, high, low, close, volume, split, dividend : (T, M) as traded; dividend per share of after a split
    company : what was drawn of each stock
    reviews : (K,) rows of the month-ends; members : (K, N) of the index; weights : (K, N) in SPY
    levels : total-return indices and true signal of the stocks, (T, N)
    market_volatility : (T,) true deviation of a session's market shock
    """

    dates: NDArray[np.datetime64]
    tickers: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    split: Floats
    dividend: Floats
    company: Company
    reviews: Ints
    members: Bools
    weights: Floats
    levels: Levels
    market_volatility: Floats

    @property
    def stocks(self) -> int:
        """Number of stocks N."""
        return self.members.shape[1]

    def sample(self) -> Sample:
        """Bars of the stocks as a sample for the stylised facts, from the first pair of sessions on."""
        stocks = slice(self.stocks)
        close, split, cash = self.close[:, stocks], self.split[:, stocks], self.dividend[:, stocks]
        base = close[1:-1]
        take = (slice(2, None), stocks)
        return Sample(
            returns=split[2:] * (self.close[take] + cash[2:]) / base - 1.0,
            overnight=split[2:] * (self.open[take] + cash[2:]) / base - 1.0,
            intraday=self.close[take] / self.open[take] - 1.0,
            range=np.log(self.high[take] / self.low[take]),
            dollar_volume=self.close[take] * self.volume[take],
            dividends=(cash[2:] > 0).astype(float),
            splits=(split[2:] != 1.0).astype(float),
        )

    def labels(self) -> Floats:
        """True 5-session return of each stock from the open of t+1 to the open of t+6, (T, N).

        NaN where the stock is not listed at t and t+1, and at the end; a delisting inside the span ends in cash.
        """
        found = np.full_like(self.levels.open, np.nan)
        found[:-6] = self.levels.open[6:] / self.levels.open[1:-5] - 1.0
        row = np.arange(len(found))[:, None]
        return np.where((row >= self.company.first) & (row < self.company.last), found, np.nan)


def sessions_of(parameters: MarketParameters) -> NDArray[np.datetime64]:
    """The NYSE session before the years shown, and the sessions of those years."""
    first = date(parameters.end.year - parameters.years, parameters.end.month, parameters.end.day)
    calendar = exchange_calendars.get_calendar(
        "XNYS", start=pd.Timestamp(first) - pd.Timedelta(days=10), end=parameters.end
    )
    every = calendar.sessions.to_numpy().astype("datetime64[D]")
    begin = int(np.searchsorted(every, np.datetime64(first, "D"), side="right")) - 1
    return np.asarray(every[begin:])


@lru_cache(maxsize=2)
def simulate(parameters: MarketParameters) -> SimulatedMarket:
    """Simulate a market; the same parameters give the same arrays."""
    p = parameters
    dates = sessions_of(p)
    company = corporate.companies(p, len(dates))
    shock = shocks(p, BURN_IN - 1 + len(dates), company.sector)
    shown = slice(BURN_IN - 1, None)
    whole = levels(p, shock)
    level = Levels(whole.open[shown], whole.close[shown], whole.signal[shown], whole.cut)
    _stop_at_delisting(level, company)
    raw = corporate.trade(
        level.open, level.close, company.price, company.dividend_yield, np.full(p.stocks, 4), company.split_price,
        stream(p, "trade"),
    )  # fmt: skip
    capitalisation = raw.adjusted * (company.capitalisation / company.price)
    rows = np.arange(len(dates))[:, None]
    listed = (rows >= company.first) & (rows <= company.last)
    month = dates.astype("datetime64[M]")
    reviews = np.append(np.flatnonzero(month[1:] != month[:-1]), len(dates) - 1)
    members = corporate.index_members(capitalisation[reviews], listed[reviews], round(p.index_share * p.stocks))
    weights = bar.fund_weights(company, capitalisation[reviews], members, listed[reviews])
    funds, fund_capitalisation = _funds(p, shock.market_shock[shown], reviews, weights, level)
    opens, closes = np.hstack([raw.open, funds.open]), np.hstack([raw.close, funds.close])
    cash, split = np.hstack([raw.dividend, funds.dividend]), np.hstack([raw.split, funds.split])
    return _assemble(
        p, dates, company, shock, shown, level, reviews, members, weights["SPY"], opens, closes, cash, split,
        np.hstack([capitalisation, fund_capitalisation]), listed,
    )  # fmt: skip


def _stop_at_delisting(level: Levels, company: Company) -> None:
    """Hold a delisted stock at its last close, as cash (in place)."""
    for i in np.flatnonzero(company.last < len(level.close) - 1):
        last = company.last[i]
        level.open[last + 1 :, i] = level.close[last + 1 :, i] = level.close[last, i]
        level.signal[last + 1 :, i] = np.nan
    for i in np.flatnonzero(company.first > 0):
        level.signal[: company.first[i], i] = np.nan


def _funds(
    p: MarketParameters, market_shock: Floats, reviews: Ints, weights: dict[str, Floats], level: Levels
) -> tuple[corporate.Raw, Floats]:
    """Traded prices of the ETFs, (T, E), and their capitalisations, USD."""
    paths = bar.bond_and_gold_levels(p, market_shock)
    for ticker, weight in weights.items():
        paths[ticker] = bar.hold(weight, reviews, level.open, level.close)
    opens, closes = (np.stack([paths[ticker][side] for ticker in bar.ETFS], axis=1) for side in (0, 1))
    start = np.array([100.0 if ETF_GROUPS[ticker] not in SECTORS else 40.0 for ticker in bar.ETFS])
    yields = np.array([bar.FUND_YIELD.get(ticker, 0.018) for ticker in bar.ETFS])
    payments = np.array([12 if ETF_GROUPS[ticker] == "bonds" else 4 for ticker in bar.ETFS])
    no_split = np.full(len(bar.ETFS), np.inf)
    raw = corporate.trade(opens, closes, start, yields, payments, no_split, stream(p, "funds"))
    size = np.array([2e12 if ticker == "SPY" else 3e11 for ticker in bar.ETFS])
    return raw, raw.adjusted / start * size


def _assemble(
    p: MarketParameters,
    dates: NDArray[np.datetime64],
    company: Company,
    shock: Shocks,
    shown: slice,
    level: Levels,
    reviews: Ints,
    members: Bools,
    weights: Floats,
    opens: Floats,
    closes: Floats,
    cash: Floats,
    split: Floats,
    capitalisation: Floats,
    listed: Bools,
) -> SimulatedMarket:
    """Add ranges, volumes and holes, and round everything as it is quoted."""
    market = shock.market_volatility[shown]
    deviation = np.hstack([shock.deviation[shown], _fund_deviation(p, market)])
    high, low = bar.range_of(opens, closes, p.range_multiple * deviation, stream(p, "range"))
    moves = np.abs(np.diff(np.log(closes * np.cumprod(split, axis=0)), axis=0, prepend=np.nan))
    moves[0] = deviation[0]
    mood = np.log(market / p.market_deviation)
    usual = deviation * np.sqrt(1.0 / (1.0 - p.overnight_share))
    dollars = bar.dollar_volumes(p, moves / usual, mood, capitalisation)
    begin = [round(bar.LATE_FUNDS.get(ticker, 0.0) * len(dates)) for ticker in bar.ETFS]
    shown_bars = np.hstack([listed, np.arange(len(dates))[:, None] >= np.array(begin)])
    hole = stream(p, "holes").random(closes.shape) < p.hole_rate
    hole[:, len(company.sector) :] = False
    edges = np.zeros_like(hole)
    edges[company.first, np.arange(p.stocks)] = edges[company.last, np.arange(p.stocks)] = True
    edges[1] = True
    shown_bars &= ~hole | edges
    shown_bars[0] = False
    opens, closes = np.maximum(np.round(opens, 2), 0.01), np.maximum(np.round(closes, 2), 0.01)
    high = np.maximum(np.round(high, 2), np.maximum(opens, closes))
    low = np.maximum(np.minimum(np.round(low, 2), np.minimum(opens, closes)), 0.01)
    volume = np.maximum(np.round(dollars / closes), 100.0)
    quoted = [np.where(shown_bars, values, np.nan) for values in (opens, high, low, closes, volume)]
    inside = np.hstack([listed, np.arange(len(dates))[:, None] >= np.array(begin)])
    inside &= np.cumsum(shown_bars, axis=0) > 1  # an action needs a bar before it
    return SimulatedMarket(
        dates, (*stock_tickers(p.stocks), *bar.ETFS), quoted[0], quoted[1], quoted[2], quoted[3], quoted[4],
        np.where(inside, split, 1.0), np.where(inside, cash, 0.0), company, reviews, members, weights, level, market,
    )  # fmt: skip


def _fund_deviation(p: MarketParameters, market_volatility: Floats) -> Floats:
    """Deviation of the intraday shock of each ETF, (T, E)."""
    fixed = {"TLT": 0.0060, "IEF": 0.0027, "LQD": 0.0030, "GLD": 0.0070}
    share = np.sqrt(1.0 - p.overnight_share)
    columns = [
        np.full(len(market_volatility), fixed[ticker])
        if ticker in fixed
        else share * market_volatility * (1.2 if ETF_GROUPS[ticker] in SECTORS else 1.0)
        for ticker in bar.ETFS
    ]
    return np.stack(columns, axis=1)


def stock_tickers(stocks: int, first_letter: str = "S") -> list[str]:
    """Symbols of the simulated stocks, sorted; four letters, so that none is an ETF's.

    >>> stock_tickers(3)
    ['SAAA', 'SAAB', 'SAAC']
    """
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [f"{first_letter}{letters[i // 676]}{letters[i // 26 % 26]}{letters[i % 26]}" for i in range(stocks)]
