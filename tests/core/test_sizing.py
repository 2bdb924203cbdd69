"""Whole shares and orders: hand-computed cases, and the limits on whole shares for random portfolios."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant50.errors import DataError
from quant50.limits import Limits, after_forced, turnover, violations, volatility
from quant50.sizing import TOLERANCE, order_quantities, order_sequence, size, whole_shares


def limits_of(names: int, **changes: object) -> Limits:
    values: dict[str, object] = {
        "caps": np.full(names, 1.0),
        "groups": np.zeros(names, dtype=np.int64),
        "group_caps": np.array([1.0]),
        "turnover": 1.0,
        "volatility": 10.0,
        "invested": 0.99,
        "maximum_holdings": 50,
        "pinned": np.zeros(names, bool),
        "shrink_only": np.zeros(names, bool),
        "forced_exit": np.zeros(names, bool),
    }
    return Limits(**{**values, **changes})  # type: ignore[arg-type]


def test_shares_are_rounded_down_and_kept_where_the_weight_stays() -> None:
    close = np.array([33.0, 33.0, 33.0])
    held = np.array([10, 10, 10]) * 33.0 / 1000
    weights = np.array([0.5, held[1] - 0.9e-7, held[2] - 1.1e-7])
    assert whole_shares(weights, held, np.array([10, 10, 10]), 1000.0, close).tolist() == [15, 10, 9]


@pytest.mark.parametrize("equity", [0.0, -1.0, np.nan])
def test_no_equity_is_refused(equity: float) -> None:
    with pytest.raises(DataError):
        whole_shares(np.array([0.1]), np.array([0.0]), np.array([0]), equity, np.array([1.0]))


def test_no_price_is_refused() -> None:
    with pytest.raises(DataError):
        whole_shares(np.array([0.1]), np.array([0.0]), np.array([0]), 1.0, np.array([np.nan]))


def test_volatility_is_met_by_trimming_the_largest_marginal_risk() -> None:
    """Rounding down the hedge leaves too much risk; the riskier of the two long names gives way."""
    covariance = np.array([[4e-4, 0.0, -3e-4], [0.0, 1e-4, 0.0], [-3e-4, 0.0, 4e-4]])
    weights, close = np.array([0.3, 0.3, 0.19]), np.array([1.0, 1.0, 100.0])
    bound = volatility(weights, covariance)
    sized = size(weights, np.zeros(3, np.int64), 1000.0, close, covariance, limits_of(3, volatility=bound))
    assert sized.trimmed[0] > 0
    assert sized.trimmed[1:].tolist() == [0, 0]
    assert sized.violations == ()
    more = sized.shares + np.array([1, 0, 0])
    assert volatility(more * close / 1000.0, covariance) > bound


def test_rounding_of_sales_gives_back_shares_within_the_turnover_limit() -> None:
    held_shares, close = np.array([10, 10, 10]), np.array([30.0, 30.0, 30.0])
    weights = np.array([0.26, 0.26, 0.26])  # sells 0.04 each, rounded down 0.06 each
    sized = size(weights, held_shares, 1000.0, close, np.eye(3) * 1e-6, limits_of(3, turnover=0.12))
    assert sized.shares.tolist() == [9, 9, 8]
    assert sized.given_back.sum() == 2
    assert sized.violations == ()


def test_names_that_cannot_be_traded_keep_their_shares() -> None:
    limits = limits_of(2, pinned=np.array([True, False]), caps=np.array([0.1, 0.1]))
    sized = size(np.array([0.4, 0.05]), np.array([40, 20]), 100.0, np.ones(2), np.eye(2) * 1e-6, limits)
    assert sized.shares.tolist() == [40, 5]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1_000_000), st.integers(2, 12), st.sampled_from([2e4, 1e5, 1e6]))
def test_limits_hold_on_whole_shares(seed: int, names: int, equity: float) -> None:
    """What meets the limits as fractions meets them in whole shares, to 1e-9, but for turnover, named if it fails."""
    random = np.random.default_rng(seed)
    close = random.uniform(5, 400, names)
    held_shares = np.floor(random.dirichlet(np.ones(names)) * 0.9 * equity / close).astype(np.int64)
    held = held_shares * close / equity
    weights = np.round(held * random.uniform(0.5, 1.0, names) + random.dirichlet(np.ones(names)) * 0.05, 6)
    returns = 0.01 * random.standard_normal((60, names)) + 0.01 * random.standard_normal((60, 1))
    covariance = np.cov(returns.T).reshape(names, names)
    groups = random.integers(0, 3, names)
    limits = limits_of(
        names,
        caps=np.maximum(weights, random.uniform(0, 1, names)),
        groups=groups,
        group_caps=np.bincount(groups, weights=weights, minlength=3) + 1e-9,
        turnover=turnover(held, weights),
        volatility=volatility(weights, covariance),
        invested=float(weights.sum()),
    )
    sized = size(weights, held_shares, equity, close, covariance, limits)
    unit = close / equity
    broken = {item.name for item in violations(sized.shares * unit, held, covariance, limits, TOLERANCE)}
    assert broken == {item.name for item in sized.violations}
    assert broken <= {"turnover"}
    assert (sized.shares >= 0).all()
    excess = turnover(after_forced(held, limits), sized.shares * unit) - limits.turnover
    assert excess <= unit.sum()


def test_orders_net_what_is_open_and_never_cross_zero() -> None:
    target, shares, pending = np.array([10, 0, 0, 0, 3]), np.array([4, 5, 5, 5, 0]), np.array([2, 0, 3, -2, 3])
    assert order_quantities(target, shares, pending).tolist() == [4, -5, -5, -3, 0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(-60, 60)), min_size=1, max_size=20))
def test_no_order_sells_more_than_is_held(rows: list[tuple[int, int, int]]) -> None:
    target, shares, pending = (np.array(column) for column in zip(*rows, strict=True))
    orders = order_quantities(target, shares, pending)
    sold = np.maximum(-orders, 0) + np.maximum(-pending, 0)
    assert (sold[orders < 0] <= shares[orders < 0]).all()
    reachable = pending >= -shares
    within = reachable & (orders > -(shares + np.minimum(pending, 0)))
    assert (shares + pending + orders)[within].tolist() == target[within].tolist()


def test_sales_come_first_each_by_ticker() -> None:
    assert order_sequence(np.array([1, -1, 1, -1, 0]), ("D", "C", "B", "A", "E")) == [3, 1, 2, 0]


def test_caps_groups_and_sum_are_cut_on_the_largest_free_weight() -> None:
    """Targets above the limits: column 0 is pinned, 1 breaks its cap, then 2 the group's cap, then 3 the sum."""
    limits = limits_of(
        4,
        pinned=np.array([True, False, False, False]),
        caps=np.array([1.0, 0.105, 1.0, 1.0]),
        groups=np.array([0, 0, 0, 1]),
        group_caps=np.array([0.55, 1.0]),
        invested=0.75,
    )
    held_shares = np.array([30, 0, 0, 0])
    sized = size(np.array([0.3, 0.2, 0.2, 0.3]), held_shares, 100.0, np.ones(4), np.eye(4) * 1e-6, limits)
    assert sized.shares.tolist() == [30, 10, 15, 20]
    assert sized.trimmed.tolist() == [0, 10, 5, 10]
    assert sized.violations == ()


def test_volatility_trim_reaches_the_bound_and_goes_no_further() -> None:
    covariance, close = np.diag([4e-4, 1e-4]), np.array([0.01, 0.01])
    limits = limits_of(2, volatility=0.10, pinned=np.array([False, True]))
    sized = size(np.array([0.9, 0.05]), np.array([0, 5000]), 1000.0, close, covariance, limits)
    assert sized.shares[1] == 5000
    exact = np.sqrt((0.10**2 / 252 - 1e-4 * 0.05**2) / 4e-4)
    assert sized.shares[0] == int(exact / 1e-5)


def test_a_sale_kept_is_paid_for_by_the_largest_purchase_where_the_sum_is_at_its_limit() -> None:
    held_shares, close = np.array([10, 10, 0, 0]), np.array([30.0, 30.0, 10.0, 10.0])
    weights = np.array([0.259, 0.259, 0.052, 0.030])  # sales 0.041 each, 0.06 on whole shares; purchases 0.05 and 0.03
    limits = limits_of(4, turnover=0.082, invested=0.58)
    sized = size(weights, held_shares, 1000.0, close, np.eye(4) * 1e-6, limits)
    assert sized.violations == ()
    assert sized.shares.tolist() == [9, 8, 2, 3]  # base 0.29 each; one share kept for three of the purchase
