"""Ranks within a session, after rounding: the last bits of a price decide no order, and ties fall by column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Bools, Floats, Ints

DROPPED_BITS = 20
"""Bits that rounding takes off the 53 of a float64: 33 remain, a step of at most 2.4e-10, about ten digits."""

_ABSENT = np.int64(np.iinfo(np.int64).max) >> DROPPED_BITS << DROPPED_BITS


def rounded(values: Floats) -> Floats:
    """Values rounded to 33 significant bits (relative error at most 2^-33 = 1.2e-10), halves away from zero.

    Ten decimal digits step by between 1e-10 and 1e-9 of a value; 33 bits step by between 1.2e-10 and 2.4e-10, with one
    integer addition in place of a power of ten for every value.

    >>> float(rounded(np.array([0.1 + 0.2]))[0]) == float(rounded(np.array([0.3]))[0])
    True
    """
    return _rounded_bits(values).view(np.float64)


def _rounded_bits(values: Floats) -> Ints:
    # Adding 0.0 makes one zero of two; float bits grow with magnitude, so a carry goes on into the exponent rightly.
    bits = (values + 0.0).view(np.int64)
    bits += 1 << (DROPPED_BITS - 1)
    bits &= -1 << DROPPED_BITS
    return bits


def session_ranks(values: Floats, member: Bools) -> NDArray[np.float32]:
    """Rank of each finite value among the session's members, spread over [−0.5, 0.5].

    Rounded values that are equal rank by column, and columns are in order of ticker. A session with one finite value
    gives it 0.

    Parameters
    ----------
    values : (sessions, columns)
    member : (sessions, columns)

    Returns
    -------
    (sessions, columns) float32
        rank / (n − 1) − 0.5 with n the session's finite members; NaN for everything else.

    >>> session_ranks(np.array([[3.0, 1.0, 1.0, np.nan]]), np.ones((1, 4), dtype=bool)).tolist()
    [[0.5, -0.5, 0.0, nan]]
    """
    columns = values.shape[1]
    if columns >= 1 << DROPPED_BITS:
        raise DataError(f"ranks: {columns} columns are too many for {DROPPED_BITS} bits")
    ranked = member & np.isfinite(values)
    # One sort of integers does for rounding, order and ties: sign and magnitude become an ordered integer, and the
    # bits that rounding cleared carry the column.
    keys = _rounded_bits(np.ascontiguousarray(values))
    keys ^= (keys >> 63) & (np.iinfo(np.int64).max >> DROPPED_BITS << DROPPED_BITS)
    keys[~ranked] = _ABSENT
    keys |= np.arange(columns)
    keys.sort(axis=1)
    count = ranked.sum(axis=1, keepdims=True)
    position = np.arange(columns)
    spread = np.where(count > 1, position / np.maximum(count - 1, 1) - 0.5, 0.0)
    spread[position >= count] = np.nan
    result = np.empty(values.shape, dtype=np.float32)
    np.put_along_axis(result, keys & ((1 << DROPPED_BITS) - 1), spread.astype(np.float32), axis=1)
    return result
