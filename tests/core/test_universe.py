"""The universe rule against hand-worked cases and a plain re-statement of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant50.errors import DataError
from quant50.universe import select


def reference(weights: list[float], previous: list[bool], candidates: int, keep_rank: int) -> list[bool]:
    eligible = sorted((-w, i) for i, w in enumerate(weights) if w == w)
    ranks = {i: rank for rank, (_, i) in enumerate(eligible)}
    return [
        i in ranks and (ranks[i] < candidates or (previous[i] and ranks[i] < keep_rank)) for i in range(len(weights))
    ]


def test_band_keeps_a_member_between_the_two_ranks() -> None:
    weights = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    previous = np.array([False, False, False, True, True])
    assert select(weights, previous, 2, 4).tolist() == [True, True, False, True, False]


def test_equal_weights_rank_by_column() -> None:
    weights = np.array([1.0, 2.0, 1.0, 1.0])
    assert select(weights, np.zeros(4, bool), 2, 2).tolist() == [True, True, False, False]


def test_leaving_the_index_ends_membership() -> None:
    weights = np.array([np.nan, 1.0])
    assert select(weights, np.array([True, True]), 5, 9).tolist() == [False, True]


@given(
    st.lists(st.tuples(st.sampled_from([np.nan, 0.0, 0.5, 1.0, 2.0]), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_matches_the_plain_statement(rows: list[tuple[float, bool]], candidates: int, extra: int) -> None:
    weights, previous = [list(column) for column in zip(*rows, strict=True)]
    result = select(np.array(weights), np.array(previous), candidates, candidates + extra)
    assert result.tolist() == reference(weights, previous, candidates, candidates + extra)


@pytest.mark.parametrize(
    ("weights", "previous", "candidates", "keep_rank"),
    [([1.0], [True, False], 1, 1), ([np.inf], [True], 1, 1), ([1.0], [True], 2, 1), ([1.0], [True], -1, 1)],
)
def test_contradictory_inputs_are_refused(
    weights: list[float], previous: list[bool], candidates: int, keep_rank: int
) -> None:
    with pytest.raises(DataError):
        select(np.array(weights), np.array(previous), candidates, keep_rank)
