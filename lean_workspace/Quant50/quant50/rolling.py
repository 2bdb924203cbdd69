"""Rolling kernels by doubling: a window's value is the same to the bit wherever the window lies in the array.

A window of 2k sessions ending at t is the window of k sessions ending at t joined to the one ending at t − k, so every
window of one length is reduced along the same tree of operations, in O(T log window) and in terms of nothing outside
the window: no running total carries rounding, NaN or knowledge from one window to another. Joining need not be a sum:
any associative operation will do (Hillis and Steele, "Data Parallel Algorithms", CACM 29(12), 1986; linear recurrences
as in Blelloch, "Prefix Sums and Their Applications", 1990).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quant50.errors import DataError
from quant50.panel import Floats

State = tuple[Floats, ...]
"""What is known of each window: arrays (rows, columns) of the same number of rows."""

Join = Callable[[State, State, int], State]
"""Joins windows of `size` sessions to the older windows that end where they begin: `join(recent, older, size)`."""


def fold(state: State, count: int, join: Join, span: int = 1) -> State:
    """Join `count` adjoining windows of `span` sessions each, for every row.

    Parameters
    ----------
    state : arrays (rows, columns), each row a window of `span` sessions that ends there
    count : number of windows to join, at least 1
    join : associative operation on states
    span : sessions in one window of `state`

    Returns
    -------
    State
        Arrays of rows − (count − 1) · span rows; the last row ends where the last row of `state` ends.

    Raises
    ------
    DataError
        There are too few rows for one window.
    """
    rows = len(state[0])
    if count < 1 or rows <= (count - 1) * span:
        raise DataError(f"rolling: {rows} rows are too few for {count} windows of {span} sessions")
    result, size = state, span
    for bit in bin(count)[3:]:
        result = join(_from(result, size), _until(result, len(result[0]) - size), size)
        size *= 2
        if bit == "1":
            result = join(_from(result, span), _until(state, rows - size), size)
            size += span
    return result


def _from(state: State, start: int) -> State:
    return tuple(array[start:] for array in state)


def _until(state: State, stop: int) -> State:
    return tuple(array[:stop] for array in state)


def rolling_sum(values: Floats, count: int, span: int = 1) -> Floats:
    """Sum of each `count` values that lie `span` rows apart, (rows − (count − 1) · span, columns).

    >>> rolling_sum(np.arange(5.0), 3)
    array([3., 6., 9.])
    """
    return fold((values,), count, lambda recent, older, _: (recent[0] + older[0],), span)[0]


def rolling_product(values: Floats, count: int, span: int = 1) -> Floats:
    """Product of each `count` values that lie `span` rows apart."""
    return fold((values,), count, lambda recent, older, _: (recent[0] * older[0],), span)[0]


def rolling_maximum(values: Floats, count: int) -> Floats:
    """Largest of each `count` values; NaN where one of them is."""
    return fold((values,), count, lambda recent, older, _: (np.maximum(recent[0], older[0]),))[0]


def decayed_sum(values: Floats, count: int, decay: float) -> Floats:
    """Exponentially weighted sum `Σ_j decay^j · x_{t−j}` over j < `count`.

    >>> decayed_sum(np.array([4.0, 2.0, 1.0]), 3, 0.5)
    array([3.])
    """
    return fold((values,), count, lambda recent, older, size: (recent[0] + decay**size * older[0],))[0]


def price_path(growth: Floats) -> State:
    """State of single sessions for `join_paths`, from growth (1 + total return)."""
    ones = np.ones_like(growth)
    return growth, ones, ones


def join_paths(recent: State, older: State, _: int) -> State:
    """Growth over a window, and the smallest and largest of `index_t / index_{t−j}` over the window's sessions.

    The smallest is 1 plus the distance to the window's highest close of the total-return index, the largest 1 plus the
    distance to its lowest.
    """
    growth, low, high = recent
    return (
        growth * older[0],
        np.minimum(low, growth * older[1]),
        np.maximum(high, growth * older[2]),
    )


def relative_average(shrinkage: Floats, count: int, sessions: int) -> Floats:
    """Exponential moving average of an index, relative to the index at t; the recursion starts `count` sessions ago.

    Parameters
    ----------
    shrinkage : (rows, columns), index_{t−1} / index_t
    count : sessions of recursion; the average starts at the index before them
    sessions : nominal length; the weight of a new session is 2 / (sessions + 1)
    """
    weight = 2.0 / (sessions + 1)
    decayed = (1.0 - weight) * shrinkage
    left, average = fold((decayed, np.full_like(decayed, weight)), count, _join_recurrences)
    return average + left


def _join_recurrences(recent: State, older: State, _: int) -> State:
    """Compose two maps x ↦ left · x + average."""
    return recent[0] * older[0], recent[1] + recent[0] * older[1]


def deviation(total: Floats, squares: Floats, count: int) -> Floats:
    """Standard deviation (ddof 1) of `count` values, from their sum and the sum of their squares."""
    return np.asarray(np.sqrt(np.maximum(squares - total * total / count, 0.0) / (count - 1)))


def market_model(values: Floats, market: Floats, window: int) -> tuple[Floats, Floats]:
    """Least-squares slope on the market and standard deviation of the residuals, with an intercept.

    Parameters
    ----------
    values : (rows, columns) returns per session
    market : (rows, 1) or (rows, columns) returns of the market
    window : sessions of one regression, at least 3

    Returns
    -------
    beta, residual_volatility : (rows − window + 1, columns) each
        The latter per session, `sqrt(Σ e² / (window − 2))`; NaN where a return of the window is.
    """
    if window < 3:
        raise DataError(f"rolling: a market model needs at least 3 sessions, not {window}")

    def total(array: Floats) -> Floats:
        return rolling_sum(array, window)

    of_values, of_market = total(values), total(market)
    variation = total(market * market) - of_market * of_market / window
    with np.errstate(divide="ignore", invalid="ignore"):
        covariation = total(values * market) - of_values * of_market / window
        beta = covariation / variation
        unexplained = total(values * values) - of_values * of_values / window - beta * covariation
    return beta, np.sqrt(np.maximum(unexplained, 0.0) / (window - 2))
