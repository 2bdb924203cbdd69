"""Costs against hand-computed orders and a decimal re-statement of the fees."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant50 import costs
from quant50.errors import DataError

CENT = Decimal("0.01")


def decimal_fee(rate: str, per_share: str, cap: str, shares: int, price: Decimal) -> Decimal:
    sec = (shares * price * Decimal(rate) / 1_000_000).quantize(CENT, ROUND_CEILING)
    taf = min(shares * Decimal(per_share), Decimal(cap)).quantize(CENT, ROUND_CEILING)
    return sec + taf


@pytest.mark.parametrize(
    ("volume", "basis_points"),
    [(0.0, 4), (25e6, 4), (25e6 + 1, 2), (100e6, 2), (100e6 + 1, 1), (500e6, 1), (500e6 + 1, 0.5)],
)
def test_half_spread_tiers(volume: float, basis_points: float) -> None:
    assert costs.half_spread(np.array([volume]))[0] == pytest.approx(basis_points * 1e-4)


def test_impact_is_half_a_daily_volatility_for_a_day_of_volume() -> None:
    order, volume = np.array([1e6, -1e6, 0.0]), np.array([1e6, 4e6, 0.0])
    result = costs.impact(order, volume, np.array([0.02, 0.02, np.nan]))
    assert result == pytest.approx([0.01, 0.005, 0.0])


def test_slippage_is_half_spread_plus_impact_and_nothing_without_an_order() -> None:
    result = costs.slippage(np.array([2e6, 0.0]), np.array([2e8, 2e8]), np.array([0.01, 0.01]))
    assert result == pytest.approx([1e-4 + 0.5 * 0.01 * 0.1, 0.0])


def test_multiplier_scales_every_part() -> None:
    arguments = np.array([1e6]), np.array([3e7]), np.array([0.02])
    assert costs.slippage(*arguments, 2.0) == pytest.approx(2 * costs.slippage(*arguments))
    assert costs.slippage(*arguments, 0.0) == pytest.approx([0.0])
    day, sold, price = np.datetime64("2018-01-02"), np.array([-7.0]), np.array([30.0])
    assert costs.fees(day, sold, price).tolist() == [0.02]
    assert costs.fees(day, sold, price, 2.0).tolist() == [0.04]
    assert costs.fees(day, sold, price, 0.0).tolist() == [0.0]


def test_an_order_without_volume_is_refused() -> None:
    with pytest.raises(DataError, match="columns \\[1\\]"):
        costs.impact(np.array([1.0, 1.0]), np.array([1.0, 0.0]), np.array([0.1, 0.1]))
    with pytest.raises(DataError):
        costs.half_spread(np.array([-1.0]))


@pytest.mark.parametrize(
    ("date", "rate", "per_share", "cap"),
    [
        ("1999-01-04", "5.6", "0.000075", "3.75"),
        ("2009-04-09", "5.6", "0.000075", "3.75"),
        ("2009-04-10", "25.7", "0.000075", "3.75"),
        ("2012-06-30", "22.4", "0.000095", "4.75"),
        ("2014-03-18", "22.1", "0.000119", "5.95"),
        ("2020-02-17", "20.7", "0.000119", "5.95"),
        ("2021-02-25", "5.1", "0.000119", "5.95"),
        ("2024-06-03", "27.8", "0.000166", "8.30"),
        ("2035-01-02", "0", "0.000166", "8.30"),
    ],
)
@pytest.mark.parametrize("shares", [1, 123, 49_999, 60_000, 400_000])
def test_fees_of_dated_rates(date: str, rate: str, per_share: str, cap: str, shares: int) -> None:
    fee = costs.fees(np.datetime64(date), np.array([-float(shares)]), np.array([41.37]))[0]
    assert Decimal(str(fee)) == decimal_fee(rate, per_share, cap, shares, Decimal("41.37"))


@given(st.integers(1, 100_000), st.integers(1, 500_000))
def test_fees_equal_decimal_arithmetic(shares: int, price_cents: int) -> None:
    price = Decimal(price_cents) / 100
    fee = costs.fees(np.datetime64("2016-05-02"), np.array([-float(shares), float(shares)]), np.full(2, float(price)))
    assert Decimal(str(round(fee[0], 2))) == decimal_fee("21.8", "0.000119", "5.95", shares, price)
    assert fee[1] == 0.0


def test_tables_are_in_order() -> None:
    for table in (costs.SEC_FEES, costs.TRADING_ACTIVITY_FEES):
        dates = [row[0] for row in table]
        assert dates == sorted(set(dates))
