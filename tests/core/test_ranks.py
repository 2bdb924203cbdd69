"""Rounding and ranking within a session."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quant50.ranks import rounded, session_ranks

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(st.lists(FINITE, min_size=1, max_size=30))
def test_rounding_is_within_ten_digits_keeps_order_and_is_idempotent(numbers: list[float]) -> None:
    values = np.array(sorted(x for x in numbers if x == 0 or abs(x) > 1e-300))
    result = rounded(values)
    assert np.all(np.abs(result - values) <= 2.0**-33 * np.abs(values))
    assert np.all(np.diff(result) >= 0)
    np.testing.assert_array_equal(rounded(result), result)
    np.testing.assert_array_equal(rounded(-values), -result)


def reference(values: np.ndarray, member: np.ndarray) -> np.ndarray:
    result = np.full(values.shape, np.nan, dtype=np.float32)
    for t, row in enumerate(rounded(values)):
        known = [j for j in range(len(row)) if member[t, j] and np.isfinite(values[t, j])]
        order = sorted(known, key=lambda j: (row[j], j))
        for place, j in enumerate(order):
            result[t, j] = place / (len(order) - 1) - 0.5 if len(order) > 1 else 0.0
    return result


@given(
    st.lists(
        st.one_of(FINITE, st.sampled_from([0.0, -0.0, 1.0, -1.0, 1 + 1e-13, np.nan, np.inf, -np.inf])),
        min_size=6,
        max_size=6,
    ),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_ranks_are_those_of_a_stable_sort(numbers: list[float], members: list[bool]) -> None:
    values, member = np.array([numbers, numbers[::-1]]), np.array([members, members])
    np.testing.assert_array_equal(session_ranks(values, member), reference(values, member))


def test_many_columns_and_ties() -> None:
    random = np.random.default_rng(0)
    values = np.round(random.normal(size=(20, 300)), 2)
    values[random.random(values.shape) < 0.1] = np.nan
    member = random.random(values.shape) < 0.7
    np.testing.assert_array_equal(session_ranks(values, member), reference(values, member))


def test_differences_beyond_ten_digits_are_ties_by_column() -> None:
    noise = np.array([[0.1 + 0.2, 0.3, 0.3 * (1 + 1e-9)]])
    assert session_ranks(noise, np.ones((1, 3), dtype=bool)).tolist() == [[-0.5, 0.0, 0.5]]
    assert session_ranks(noise[:, ::-1], np.ones((1, 3), dtype=bool)).tolist() == [[0.5, -0.5, 0.0]]
