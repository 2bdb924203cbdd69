"""Rolling kernels against windows written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from quant50.errors import DataError
from quant50.rolling import (
    decayed_sum,
    deviation,
    fold,
    join_paths,
    market_model,
    price_path,
    relative_average,
    rolling_maximum,
    rolling_product,
    rolling_sum,
)

ROWS = 80


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(3).normal(0.001, 0.02, (ROWS, 3))


@given(window=st.integers(1, ROWS))
def test_every_window_length_sums_multiplies_and_takes_the_maximum(window: int) -> None:
    values = np.random.default_rng(window).normal(0, 0.02, (ROWS, 2))
    windows = sliding_window_view(values, window, axis=0)
    np.testing.assert_allclose(rolling_sum(values, window), windows.sum(-1), rtol=0, atol=1e-14)
    np.testing.assert_allclose(rolling_product(1 + values, window), (1 + windows).prod(-1), rtol=1e-13)
    np.testing.assert_array_equal(rolling_maximum(values, window), windows.max(-1))
    weights = 0.9 ** np.arange(window)[::-1]
    np.testing.assert_allclose(decayed_sum(values, window, 0.9), windows @ weights, rtol=0, atol=1e-14)


@given(count=st.integers(1, 11), span=st.integers(1, 7))
def test_folding_sums_of_spans_sums_the_whole(count: int, span: int) -> None:
    values = np.random.default_rng(count).integers(-9, 9, (ROWS, 2)).astype(float)
    np.testing.assert_array_equal(
        rolling_sum(rolling_sum(values, span), count, span), sliding_window_view(values, count * span, axis=0).sum(-1)
    )


@given(start=st.integers(0, 20), stop=st.integers(60, ROWS), window=st.integers(1, 40))
def test_a_window_is_the_same_to_the_bit_wherever_it_lies(start: int, stop: int, window: int) -> None:
    values = np.random.default_rng(1).normal(0, 0.02, (ROWS, 2))
    whole, part = rolling_sum(values, window), rolling_sum(values[start:stop], window)
    np.testing.assert_array_equal(part, whole[start : start + len(part)])


def test_a_nan_stays_inside_the_windows_that_hold_it(values: np.ndarray) -> None:
    values[30, 0] = np.nan
    unknown = np.isnan(rolling_sum(values, 7)[:, 0])
    assert np.flatnonzero(unknown).tolist() == list(range(30 - 6, 31))
    assert np.isnan(rolling_maximum(values, 7)[24:31, 0]).all()


@pytest.mark.parametrize("window", [1, 2, 21, 52])
def test_path_extremes(values: np.ndarray, window: int) -> None:
    growth, low, high = fold(price_path(1 + values), window, join_paths)
    index = np.cumprod(1 + values, axis=0)
    closes = sliding_window_view(index, window, axis=0)
    now = index[window - 1 :]
    np.testing.assert_allclose(low, now / closes.max(-1), rtol=1e-13)
    np.testing.assert_allclose(high, now / closes.min(-1), rtol=1e-13)
    np.testing.assert_allclose(growth[1:], now[1:] / index[:-window], rtol=1e-13)


def test_relative_average_is_the_recursion_from_the_first_price(values: np.ndarray) -> None:
    index = np.vstack([np.ones(3), np.cumprod(1 + values, axis=0)])
    average = index[0]
    for price in index[1:]:
        average = average + 2 / 13 * (price - average)
    result = relative_average(1 / (1 + values), ROWS, 12)
    assert result.shape == (1, 3)
    np.testing.assert_allclose(result[0], average / index[-1], rtol=1e-12)


def test_deviation_is_numpys_and_zero_for_a_constant(values: np.ndarray) -> None:
    result = deviation(rolling_sum(values, 21), rolling_sum(values * values, 21), 21)
    np.testing.assert_allclose(result, sliding_window_view(values, 21, axis=0).std(-1, ddof=1), rtol=1e-11)
    assert deviation(np.array([0.0]), np.array([0.0]), 5).tolist() == [0.0]


def test_market_model_is_least_squares(values: np.ndarray) -> None:
    market = np.random.default_rng(5).normal(0, 0.01, (ROWS, 1))
    values = values + 1.3 * market
    beta, residual = market_model(values, market, 63)
    design = np.column_stack([np.ones(63), market[-63:, 0]])
    solution, squares, *_ = np.linalg.lstsq(design, values[-63:], rcond=None)
    np.testing.assert_allclose(beta[-1], solution[1], rtol=1e-10)
    np.testing.assert_allclose(residual[-1], np.sqrt(squares / 61), rtol=1e-10)
    same_beta, same_residual = market_model(values, np.repeat(market, 3, axis=1), 63)
    np.testing.assert_array_equal(same_beta, beta)
    np.testing.assert_array_equal(same_residual, residual)


def test_too_few_rows_are_refused(values: np.ndarray) -> None:
    with pytest.raises(DataError, match="too few"):
        rolling_sum(values, ROWS + 1)
    with pytest.raises(DataError, match="at least 3"):
        market_model(values, values, 2)
