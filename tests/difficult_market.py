"""A small market that holds every difficulty of the real one, for any test."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quant50.groups import UNKNOWN_SECTOR, sector_code
from quant50.panel import Panel

SESSIONS: Final[int] = 330
CLOSE_LAST: Final[int] = 300
"""Last session of the delisted ticker."""
LISTED: Final[int] = 40
"""First session of the late listing."""
SPLIT: Final[int] = 280
"""Ex-date of the split, the reverse split and the odd split (3:2 with a dividend on the same day)."""
HALT: Final[range] = range(285, 291)
"""Sessions without a trade in the halted ticker."""
HOLES: Final[tuple[int, ...]] = (100, 279, 280, 310)
"""Single sessions without a trade; the ticker's ex-date is row 281, after two of them."""

SECTOR_OF: Final[dict[str, str | None]] = {
    "CONST": "Utilities",
    "DELIST": "Energy",
    "HALT": "Financials",
    "HOLE": "Materials",
    "LATE": "Health Care",
    "PLAIN": "Information Technology",
    "PLAIN2": "Information Technology",
    "REVERSE": "Industrials",
    "SPLIT": "Consumer Staples",
    "SPLIT32": "Real Estate",
    "UNKNOWN": None,
}


def difficult_market(seed: int = 0) -> tuple[Panel, NDArray[np.int64]]:
    """Raw bars of eleven stocks and SPY over 330 sessions, and each ticker's last session.

    CONST never changes its price; DELIST ends at row 300 and is delisted the next calendar day; HALT does not trade
    in rows 285 … 290; HOLE lacks single sessions, two of them before its ex-date at row 281; LATE begins at row 40;
    SPLIT splits 4:1, REVERSE 1:10 and SPLIT32 3:2 with a dividend on the same day, all at row 280; PLAIN and PLAIN2
    pay dividends each quarter (half cents among them); UNKNOWN has no known sector and leaves the index at row 295.
    The sessions are weekdays, without holidays.

    Parameters
    ----------
    seed : seed of the price noise

    Returns
    -------
    Panel of shape (330, 12); (12,) int64 row after which a ticker is delisted, −1 if it never is.
    """
    random = np.random.default_rng(seed)
    tickers = tuple(sorted([*SECTOR_OF, "SPY"]))
    shape = (SESSIONS, len(tickers))
    column = {ticker: n for n, ticker in enumerate(tickers)}
    first = np.datetime64("2018-01-01")
    dates = np.busday_offset(first, np.arange(SESSIONS), roll="forward").astype("datetime64[D]")

    market = 0.009 * random.standard_t(5, SESSIONS)
    own = 0.012 * random.standard_t(5, shape)
    beta = random.uniform(0.6, 1.4, shape[1])
    gap = 0.004 * random.standard_normal(shape)
    own[:, column["SPY"]], beta[column["SPY"]] = 0.0, 1.0
    smooth = random.uniform(20, 200, shape[1]) * np.exp(np.cumsum(beta * market[:, None] + own - 0.0001, axis=0))

    split, dividend = np.ones(shape), np.zeros(shape)
    split[SPLIT, column["SPLIT"]] = 4.0
    split[SPLIT, column["REVERSE"]] = 0.1
    split[SPLIT, column["SPLIT32"]] = 1.5
    dividend[SPLIT, column["SPLIT32"]] = 0.45  # per old share: 0.30 per new one
    dividend[20::63, column["PLAIN"]] = 0.335
    dividend[25::63, column["PLAIN2"]] = 0.205
    dividend[30::63, column["SPY"]] = 1.25
    dividend[HOLES[2] + 1, column["HOLE"]] = 0.75

    close = np.maximum(np.round(smooth / np.cumprod(split, axis=0), 2), 1.0)
    open_ = np.maximum(np.round(close * np.exp(gap), 2), 0.5)
    close[:, column["CONST"]] = open_[:, column["CONST"]] = 50.0
    high = np.maximum(open_, close) * (1 + np.abs(gap))
    low = np.minimum(open_, close) * (1 - np.abs(gap) / 2)
    high[:, column["CONST"]] = low[:, column["CONST"]] = 50.0
    volume = np.round(random.lognormal(13.5, 0.4, shape))

    absent = np.zeros(shape, dtype=bool)
    absent[CLOSE_LAST + 1 :, column["DELIST"]] = True
    absent[:LISTED, column["LATE"]] = True
    absent[HALT.start : HALT.stop, column["HALT"]] = True
    absent[list(HOLES), column["HOLE"]] = True
    for array in (open_, high, low, close, volume):
        array[absent] = np.nan

    constituent = np.ones(shape, dtype=bool)
    constituent[:, column["SPY"]] = False
    constituent[:LISTED, column["LATE"]] = False
    constituent[CLOSE_LAST + 1 :, column["DELIST"]] = False
    constituent[295:, column["UNKNOWN"]] = False
    codes = [UNKNOWN_SECTOR if ticker == "SPY" else sector_code(SECTOR_OF[ticker]) for ticker in tickers]
    last_session = np.full(len(tickers), -1, dtype=np.int64)
    last_session[column["DELIST"]] = CLOSE_LAST
    panel = Panel(
        dates=dates, tickers=tickers, open=open_, high=high, low=low, close=close, volume=volume,
        split=split, dividend=dividend, member=constituent.copy(), constituent=constituent,
        sector=np.tile(np.array(codes, dtype=np.int8), (SESSIONS, 1)), is_etf=np.array([t == "SPY" for t in tickers]),
    )  # fmt: skip
    return panel, last_session
