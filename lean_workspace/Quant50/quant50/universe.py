"""The stocks that may be bought: the largest index members, with a band that keeps the list from flickering."""

from __future__ import annotations

import numpy as np

from quant50.errors import DataError
from quant50.panel import Bools, Floats


def select(weights: Floats, previous: Bools, candidates: int, keep_rank: int) -> Bools:
    """Members of a session: the `candidates` largest by index weight; a member stays until its rank passes `keep_rank`.

    Parameters
    ----------
    weights : (n,) index weight in any unit, columns in ticker order, NaN = not in the index or without bars
    previous : (n,) bool, members of the session before
    candidates : number of ranks that make a member
    keep_rank : number of ranks that keep a member, at least `candidates`

    Returns
    -------
    (n,) bool

    Raises
    ------
    DataError
        Shapes disagree, a weight is infinite, or `keep_rank` is below `candidates`.

    Notes
    -----
    Rank 0 is the largest weight; equal weights rank by column, which is ticker order.

    Examples
    --------
    >>> select(np.array([3.0, np.nan, 2.0, 1.0]), np.array([False, True, False, True]), 1, 3).tolist()
    [True, False, False, True]
    """
    if weights.ndim != 1 or previous.shape != weights.shape:
        raise DataError(f"universe: weights {weights.shape} and previous {previous.shape} must be one shape (n,)")
    if np.isinf(weights).any():
        raise DataError("universe: index weights must be finite or NaN")
    if not 0 <= candidates <= keep_rank:
        raise DataError(f"universe: need 0 <= candidates ({candidates}) <= keep_rank ({keep_rank})")
    rank = np.empty(weights.size, dtype=np.int64)
    rank[np.argsort(-weights, kind="stable")] = np.arange(weights.size)  # NaN sorts last
    chosen = (rank < candidates) | (previous & (rank < keep_rank))
    return np.asarray(chosen & np.isfinite(weights))
