"""What trading costs: half spread, market impact and regulatory fees, for simulator, LEAN, optimiser and reports.

Spread and impact are a fraction of an order's value and part of the fill price; the fees are USD on sales.

Sources
-------
SEC fee (Section 31 of the Securities Exchange Act of 1934, USD per million of sales): the SEC's fee rate advisories and
FINRA's information notices, by effective date. TAF (FINRA By-Laws, Schedule A, section 1): Regulatory Notices 11-27
(July 2011), 12-06 (March 2012), the June 2012 rule change SR-FINRA-2012-023, and the 2022 to 2024 steps of
SR-FINRA-2020-032. Before a table's first date its first rate holds, after the last date the last known.

Impact: square root law; Almgren, Thum, Hauptmann and Li, "Direct estimation of equity market impact" (2005); Grinold
and Kahn, "Active Portfolio Management" (2000), chapter 16.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Floats

IMPACT_COEFFICIENT: Final = 0.5
"""Impact of an order of one average day's volume, in daily volatilities."""

SPREAD_TIERS: Final[tuple[tuple[float, float], ...]] = ((0.0, 4e-4), (25e6, 2e-4), (100e6, 1e-4), (500e6, 0.5e-4))
"""Half spread (fraction) above each 21-session mean dollar volume (USD a session)."""

SEC_FEES: Final[tuple[tuple[str, float], ...]] = (
    ("2008-04-01", 5.60),
    ("2009-04-10", 25.70),
    ("2010-01-15", 12.70),
    ("2010-04-01", 16.90),
    ("2011-01-21", 19.20),
    ("2012-02-21", 18.00),
    ("2012-04-01", 22.40),
    ("2013-05-25", 17.40),
    ("2014-03-18", 22.10),
    ("2015-02-14", 18.40),
    ("2016-02-16", 21.80),
    ("2017-07-04", 23.10),
    ("2018-05-22", 13.00),
    ("2019-04-16", 20.70),
    ("2020-02-18", 22.10),
    ("2021-02-25", 5.10),
    ("2022-05-14", 22.90),
    ("2023-02-27", 8.00),
    ("2024-05-22", 27.80),
    ("2025-05-14", 0.00),
)
"""First day and USD per million of sales."""

TRADING_ACTIVITY_FEES: Final[tuple[tuple[str, float, float], ...]] = (
    ("2004-10-01", 0.000075, 3.75),
    ("2011-07-01", 0.000090, 4.50),
    ("2012-03-01", 0.000095, 4.75),
    ("2012-07-01", 0.000119, 5.95),
    ("2022-01-01", 0.000130, 6.49),
    ("2023-01-01", 0.000145, 7.27),
    ("2024-01-01", 0.000166, 8.30),
)
"""First day, USD per share sold, and the most a single trade pays in USD."""

_SEC_DATES = np.array([row[0] for row in SEC_FEES], dtype="datetime64[D]")
_TAF_DATES = np.array([row[0] for row in TRADING_ACTIVITY_FEES], dtype="datetime64[D]")


def half_spread(mean_dollar_volume: Floats, multiplier: float = 1.0) -> Floats:
    """Half the quoted spread as a fraction of price, by liquidity tier.

    Parameters
    ----------
    mean_dollar_volume : (n,) USD a session, mean of the 21 sessions ending at t; above a bound is above it strictly
    multiplier : `cost_multiplier`, 0 for none

    Returns
    -------
    (n,) fraction

    Examples
    --------
    >>> (half_spread(np.array([6e8, 5e8, 3e7, 0.0])) * 1e4).round(1).tolist()
    [0.5, 1.0, 2.0, 4.0]
    """
    bounds = np.array([bound for bound, _ in SPREAD_TIERS[1:]])
    spreads = np.array([spread for _, spread in SPREAD_TIERS])
    if np.any(mean_dollar_volume < 0) or np.isnan(mean_dollar_volume).any():
        raise DataError("costs: mean dollar volume must be zero or more")
    return np.asarray(multiplier * spreads[np.searchsorted(bounds, mean_dollar_volume, side="left")])


def impact(
    order_value: Floats, mean_dollar_volume: Floats, daily_volatility: Floats, multiplier: float = 1.0
) -> Floats:
    """Market impact of an order as a fraction of its value: `0.5 · sigma_daily · sqrt(order / ADV)`.

    Parameters
    ----------
    order_value : (n,) USD, sign ignored; 0 for no order
    mean_dollar_volume : (n,) USD a session, mean of the 21 sessions ending at t
    daily_volatility : (n,) standard deviation of daily total returns up to t
    multiplier : `cost_multiplier`, 0 for none

    Returns
    -------
    (n,) fraction, 0 where there is no order

    Raises
    ------
    DataError
        An order in a name without volume or without volatility.
    """
    ordered = order_value != 0
    known = (mean_dollar_volume > 0) & (daily_volatility >= 0)
    if np.any(ordered & ~known):
        raise DataError(f"costs: order without volume or volatility in columns {np.flatnonzero(ordered & ~known)}")
    participation = np.divide(
        np.abs(order_value), mean_dollar_volume, out=np.zeros(order_value.shape), where=ordered & known
    )
    return np.asarray(
        np.where(ordered, multiplier * IMPACT_COEFFICIENT * daily_volatility * np.sqrt(participation), 0.0)
    )


def slippage(
    order_value: Floats, mean_dollar_volume: Floats, daily_volatility: Floats, multiplier: float = 1.0
) -> Floats:
    """Slippage of market orders as a fraction of their value, (n,): half spread plus impact, 0 where there is no order.

    A buy fills at `open · (1 + slippage)`, a sale at `open · (1 − slippage)`. Parameters as `impact`.
    """
    fraction = impact(order_value, mean_dollar_volume, daily_volatility, multiplier)
    return np.asarray(np.where(order_value != 0, half_spread(mean_dollar_volume, multiplier) + fraction, 0.0))


def sec_fee_rate(date: np.datetime64) -> float:
    """SEC fee on a day's sales, fraction of their value.

    >>> round(sec_fee_rate(np.datetime64("2014-03-17")), 9), round(sec_fee_rate(np.datetime64("2014-03-18")), 9)
    (1.74e-05, 2.21e-05)
    """
    return SEC_FEES[_row(_SEC_DATES, date)][1] / 1e6


def fees(date: np.datetime64, quantity: Floats, price: Floats, multiplier: float = 1.0) -> Floats:
    """SEC fee plus Trading Activity Fee of each order, (n,) USD; buys pay none.

    Parameters
    ----------
    date : day of the fill
    quantity : (n,) shares, negative for sales
    price : (n,) USD fill price
    multiplier : `cost_multiplier`, 0 for none

    Notes
    -----
    Each fee is rounded up to the cent; the multiplied sum is rounded up to the cent again.

    Examples
    --------
    >>> fees(np.datetime64("2020-03-02"), np.array([-1000.0, 1000.0]), np.array([50.0, 50.0])).tolist()
    [1.23, 0.0]
    """
    _, per_share, cap = TRADING_ACTIVITY_FEES[_row(_TAF_DATES, date)]
    sold = np.maximum(-quantity, 0.0)
    value = np.where(sold > 0, sold * price, 0.0)
    cents = _cents_up(value * sec_fee_rate(date)) + _cents_up(np.minimum(sold * per_share, cap))
    return _cents_up(multiplier * cents / 100.0) / 100.0


def _row(dates: NDArray[np.datetime64], date: np.datetime64) -> int:
    return max(int(np.searchsorted(dates, np.datetime64(date, "D"), side="right")) - 1, 0)


def _cents_up(amount: Floats) -> Floats:
    # A millionth of a cent of tolerance: 1.22 USD held as 122.00000000000001 cents stays 1.22.
    return np.asarray(np.maximum(np.ceil(amount * 100.0 - 1e-6), 0.0))
