"""Corporate life of the simulated stocks: listings, delistings, dividends, splits, renames and the index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.groups import SECTORS
from training.sources.simulated.parameters import MarketParameters, stream
from training.sources.simulated.volatility import Floats

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SECTOR_WEIGHTS: Final[tuple[float, ...]] = (0.05, 0.13, 0.07, 0.07, 0.14, 0.13, 0.14, 0.14, 0.05, 0.04, 0.04)
"""Share of the stocks in each GICS sector, in the order of `quant50.groups.SECTORS`."""

FORWARD_RATIOS: Final[tuple[float, ...]] = (2.0, 2.0, 2.0, 3.0, 1.5, 4.0)
REVERSE_RATIOS: Final[tuple[float, ...]] = (0.1, 0.2, 0.125)
REVERSE_BELOW: Final[float] = 5.0
"""A stock whose price is below this, in USD, may split in reverse."""

FORWARD_CHANCE: Final[float] = 0.00006
"""Chance of a forward split in a session of a stock at its `split_price`, when above 60 USD; grows with the price."""

REVERSE_CHANCE: Final[float] = 0.01
"""Chance of a reverse split in a session of a stock below `REVERSE_BELOW`."""


@dataclass(frozen=True)
class Company:
    """What is drawn of each of N stocks before any price, (N,) each; rows count the shown sessions.

    Attributes
    ----------
    sector : code of `quant50.groups.SECTORS`
    first, last : row of the first and of the last session listed (0 and T − 1 for most)
    rename : row of the first session under the new symbol, −1 if never renamed
    price, capitalisation : USD at the first session; dividend_yield : a year, 0 for a stock that pays none
    split_price : USD, a higher price makes a forward split likelier
    """

    sector: NDArray[np.int8]
    first: Ints
    last: Ints
    rename: Ints
    price: Floats
    capitalisation: Floats
    dividend_yield: Floats
    split_price: Floats


def companies(parameters: MarketParameters, sessions: int) -> Company:
    """Draw the companies; their listings and delistings know nothing of prices."""
    p, n = parameters, parameters.stocks
    generator = stream(p, "companies")
    counts = np.maximum(np.floor(np.array(SECTOR_WEIGHTS) * n), 1).astype(int)
    counts[4] += n - counts.sum()
    sector = generator.permutation(np.repeat(np.arange(len(SECTORS)), counts)).astype(np.int8)
    order = generator.permutation(n)
    late, gone, renamed = (round(share * n) for share in (p.late_share, p.delisted_share, p.renamed_share))
    first, last, rename = np.zeros(n, np.int64), np.full(n, sessions - 1), np.full(n, -1)
    first[order[:late]] = generator.integers(sessions // 10, sessions * 85 // 100, late)
    last[order[late : late + gone]] = generator.integers(sessions // 10, sessions * 95 // 100, gone)
    rename[order[late + gone : late + gone + renamed]] = generator.integers(sessions // 10, sessions * 9 // 10, renamed)
    payer = generator.random(n) < 0.80
    return Company(
        sector=sector,
        first=first,
        last=last,
        rename=rename,
        price=np.clip(45.0 * np.exp(0.55 * generator.standard_normal(n)), 12.0, 190.0),
        capitalisation=12e9 * np.exp(1.1 * generator.standard_normal(n)),
        dividend_yield=np.where(payer, np.clip(0.021 * np.exp(0.5 * generator.standard_normal(n)), 0.003, 0.06), 0.0),
        split_price=80.0 * np.exp(0.3 * generator.standard_normal(n)),
    )


@dataclass(frozen=True)
class Raw:
    """Prices as traded of N tickers on T sessions, (T, N) each, before rounding.

    Attributes
    ----------
    open, close : USD
    split : new shares per old share on the ex-date, else 1
    dividend : USD per share of after the split on the ex-date, else 0; rounded to a hundredth of a cent
    adjusted : close in units of the first session's shares (dividends taken out), USD
    """

    open: Floats
    close: Floats
    split: Floats
    dividend: Floats
    adjusted: Floats


def trade(
    open_level: Floats,
    close_level: Floats,
    price: Floats,
    dividend_yield: Floats,
    payments: Ints,
    split_price: Floats,
    generator: np.random.Generator,
) -> Raw:
    """Turn total-return indices into traded prices with dividends and splits.

    The total return is LEAN's, `close · split / (previous close − dividend per old share) − 1`, so the returns read
    from these prices are those of the indices. Splits and dividends depend on earlier closes alone.

    Parameters
    ----------
    open_level, close_level : (T, N) total-return indices
    price : (N,) first close, USD
    dividend_yield : (N,) a year; payments : (N,) dividends a year; split_price : (N,) USD, infinite for no splits
    """
    sessions, tickers = close_level.shape
    opens, closes = np.empty_like(close_level), np.empty_like(close_level)
    split, dividend = np.ones((sessions, tickers)), np.zeros((sessions, tickers))
    every = 252 // payments
    offset = generator.integers(every)
    lottery = generator.random((sessions, tickers))
    forward = generator.choice(FORWARD_RATIOS, (sessions, tickers))
    reverse = generator.choice(REVERSE_RATIOS, (sessions, tickers))
    closes[0] = price
    opens[0] = price * open_level[0] / close_level[0]
    amount = np.round(dividend_yield / payments * price, 2)
    for t in range(1, sessions):
        before = closes[t - 1]
        chance = np.where(before > 60.0, FORWARD_CHANCE * np.minimum(before / split_price, 4.0), 0.0)
        ratio = np.where(lottery[t] < chance, forward[t], 1.0)
        ratio = np.where((before < REVERSE_BELOW) & (lottery[t] < REVERSE_CHANCE), reverse[t], ratio)
        # the board sets the dividend once a year, in whole cents of the shares it then has
        review = (t + offset) % 252 == 0
        amount = np.where(review, np.round(dividend_yield / payments * before, 2), amount)
        amount = np.where(ratio != 1.0, np.round(amount / ratio, 4), amount)
        due = ((t + offset) % every == 0) & (amount > 0) & (amount * ratio < 0.1 * before)
        split[t], dividend[t] = ratio, np.where(due, amount, 0.0)
        base = (before - dividend[t] * ratio) / ratio
        opens[t] = base * open_level[t] / close_level[t - 1]
        closes[t] = base * close_level[t] / close_level[t - 1]
    return Raw(opens, closes, split, dividend, closes * np.cumprod(split, axis=0))


def index_members(capitalisation: Floats, listed: Bools, size: int) -> Bools:
    """Members of the index at each of K reviews, (K, N).

    The `size` largest at the first review; then one that falls beyond 103 % of the size leaves, and the largest
    outsider takes the free place.

    Parameters
    ----------
    capitalisation : (K, N) USD; listed : (K, N)
    """
    members = np.zeros_like(listed)
    current = np.zeros(listed.shape[1], bool)
    for k in range(len(listed)):
        order = np.argsort(-np.where(listed[k], capitalisation[k], -np.inf), kind="stable")
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order))
        current &= listed[k] & (rank < int(1.03 * size))
        outsiders = [i for i in order if listed[k, i] and not current[i]]
        current[outsiders[: size - int(current.sum())]] = True
        members[k] = current
    return members
