"""Labels: what a stock earned over the market from the open after a decision, held for some sessions.

The label at t is the total return from the open of t+1 to the open of t+1+h, less the market's between the same opens.
A session without a trade at either end takes the next real open. A delisting ends the stock's return at its last close;
cash follows, without interest, while the market's return runs on to the open of t+1+h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant50.errors import DataError
from quant50.groups import MARKET
from quant50.panel import Bools, Floats, Ints, Panel, begun, returns
from quant50.ranks import session_ranks


@dataclass(frozen=True)
class Labels:
    """Excess returns by session of decision.

    Attributes
    ----------
    excess : (T, N) fraction; NaN where the span runs past the data, for ETFs, and for a stock that at t has had no bar
        yet or has none left to enter at
    end : (T, N) row at whose open (or close, for a delisting on that row) the last value that the label uses is known,
        at least t+1+h; T where the label is unknown
    holes : labels of members whose entry or exit waited for the next real open
    delisted : labels of members that ended at a last close
    """

    excess: Floats
    end: Ints
    holes: int
    delisted: int


def labels(panel: Panel, last_session: Ints, horizon: int = 5) -> Labels:
    """Labels of every session and ticker.

    Parameters
    ----------
    panel : T sessions × N tickers, with the market's column
    last_session : (N,) row of the last bar of a ticker that is delisted inside the panel, −1 otherwise
    horizon : sessions held, h

    Raises
    ------
    DataError
        The market's column is missing, the horizon is not positive, or a bar lies after its ticker's last session.
    """
    sessions, columns = panel.close.shape
    if horizon < 1:
        raise DataError(f"labels: the horizon must be at least 1 session, not {horizon}")
    if last_session.shape != (columns,) or np.any(last_session >= sessions):
        raise DataError(f"labels: last_session must hold a row below {sessions} for each of {columns} tickers")
    delisted = last_session >= 0
    rows = np.arange(sessions)[:, None]
    gone = delisted & (rows > last_session)
    traded = np.isfinite(panel.close)
    if np.any(traded & gone):
        raise DataError("labels: a ticker has a bar after its last session")

    at_open, at_close = _wealth(panel)
    fill = _next_traded(traded)
    decisions = max(sessions - 1 - horizon, 0)
    entry, exit_ = fill[1 : 1 + decisions], fill[1 + horizon : 1 + horizon + decisions]
    nominal = rows[1 + horizon : 1 + horizon + decisions]
    ends_early = gone[1 + horizon : 1 + horizon + decisions]
    market = panel.column(MARKET)
    market_fill = fill[:, market]

    # Unknown rows are read at row T, where every value is NaN.
    leaves = np.where(ends_early, nominal, exit_)
    proceeds = np.where(ends_early, np.take_along_axis(at_close, last_session[None, :], axis=0), _at(at_open, exit_))
    stock = proceeds / _at(at_open, entry)
    market_open = np.append(at_open[:, market], np.nan)
    market_fill = np.append(market_fill, sessions)
    value = stock - market_open[market_fill[leaves]] / market_open[market_fill[entry]]
    value[~begun(panel.close)[:decisions]] = np.nan
    value[:, panel.is_etf] = np.nan

    known = np.isfinite(value)
    excess = np.full((sessions, columns), np.nan)
    end = np.full((sessions, columns), sessions, dtype=np.int64)
    excess[:decisions] = value
    end[:decisions] = np.where(known, np.maximum(leaves, market_fill[leaves]), sessions)
    counted = known & panel.member[:decisions]
    waited = (entry > nominal - horizon) | (~ends_early & (exit_ > nominal))
    return Labels(excess, end, int(np.sum(counted & waited)), int(np.sum(counted & ends_early)))


def _wealth(panel: Panel) -> tuple[Floats, Floats]:
    """Wealth of one dollar put in at the first close, at each open (NaN without a trade) and each close."""
    history = returns(panel)
    at_close = np.cumprod(1.0 + np.where(np.isnan(history.total), 0.0, history.total), axis=0)
    return np.where(np.isfinite(panel.open), at_close / (1.0 + history.intraday), np.nan), at_close


def _next_traded(traded: Bools) -> Ints:
    """Row of the first session with a trade at or after each row, (T, N); T where there is none."""
    sessions = len(traded)
    row = np.where(traded, np.arange(sessions)[:, None], sessions)
    return np.asarray(np.minimum.accumulate(row[::-1], axis=0)[::-1])


def _at(values: Floats, rows: Ints) -> Floats:
    """Values (T, N) at a row per column, NaN at row T."""
    found = np.take_along_axis(values, np.minimum(rows, len(values) - 1), axis=0)
    return np.where(rows < len(values), found, np.nan)


def binary_target(excess: Floats, member: Bools) -> Floats:
    """1 where a member's excess return beats the median of its session's known member labels, else 0; NaN elsewhere.

    >>> binary_target(np.array([[0.1, 0.2, 0.3, np.nan]]), np.ones((1, 4), dtype=bool)).tolist()
    [[0.0, 0.0, 1.0, nan]]
    """
    known = member & np.isfinite(excess)
    values = np.where(known, excess, np.nan)
    some = known.any(axis=1)
    median = np.full(len(values), np.nan)
    median[some] = np.nanmedian(values[some], axis=1)
    return np.where(known, (values > median[:, None]).astype(np.float64), np.nan)


def rank_target(excess: Floats, member: Bools) -> Floats:
    """Rank of a member's excess return in its session, over [−0.5, 0.5]; NaN elsewhere."""
    return session_ranks(excess, member).astype(np.float64)
