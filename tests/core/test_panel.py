"""The panel and its returns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quant50.errors import DataError
from quant50.panel import Panel, begun, returns
from tests.core.feature_reference import window_returns
from tests.difficult_market import HALT, HOLES, LISTED, SPLIT, difficult_market

PANEL, _ = difficult_market()
RETURNS = returns(PANEL)


def test_returns_are_those_written_out() -> None:
    for column, ticker in enumerate(PANEL.tickers):
        expected = window_returns(PANEL, column)
        for name, own in (
            ("total", "total"), ("overnight", "overnight"), ("intraday", "intraday"), ("dollars", "dollar_volume"),
        ):  # fmt: skip
            result = getattr(RETURNS, own)[:, column]
            np.testing.assert_allclose(result, expected[name], rtol=0, atol=1e-15, err_msg=f"{ticker} {name}")


def test_overnight_and_intraday_make_the_total() -> None:
    together = (1 + RETURNS.overnight) * (1 + RETURNS.intraday) - 1
    np.testing.assert_allclose(together, RETURNS.total, rtol=0, atol=1e-14)


def test_holes_earn_nothing_and_the_next_bar_all() -> None:
    column = PANEL.column("HALT")
    assert not RETURNS.total[HALT.start : HALT.stop, column].any()
    move = PANEL.close[HALT.stop, column] / PANEL.close[HALT.start - 1, column] - 1
    assert RETURNS.total[HALT.stop, column] == pytest.approx(move, abs=1e-15)
    hole = PANEL.column("HOLE")
    after = HOLES[2] + 1
    paid = PANEL.dividend[after, hole]
    assert paid > 0
    whole = PANEL.close[after, hole] / (PANEL.close[HOLES[1] - 1, hole] - paid) - 1
    assert RETURNS.total[after, hole] == pytest.approx(whole, abs=1e-15)


def test_nothing_is_known_before_the_first_bar() -> None:
    column = PANEL.column("LATE")
    assert np.isnan(RETURNS.total[: LISTED + 1, column]).all()
    assert np.isfinite(RETURNS.total[LISTED + 1 :, column]).all()
    assert begun(PANEL.close)[:, column].tolist() == [t >= LISTED for t in range(len(PANEL.dates))]


def test_a_split_with_a_dividend_on_the_same_day() -> None:
    column = PANEL.column("SPLIT32")
    before, after = PANEL.close[SPLIT - 1, column], PANEL.close[SPLIT, column]
    expected = after * 1.5 / (before - PANEL.dividend[SPLIT, column]) - 1
    assert RETURNS.total[SPLIT, column] == pytest.approx(expected, abs=1e-15)


def test_a_row_depends_on_the_rows_before_it_alone() -> None:
    part = returns(PANEL.rows(0, 290))
    for name in ("total", "overnight", "intraday", "dollar_volume", "close"):
        np.testing.assert_array_equal(getattr(part, name), getattr(RETURNS, name)[:290])


def test_selection_of_rows_and_columns() -> None:
    part = PANEL.rows(5, 9).columns(np.array([1, 3]))
    assert part.tickers == (PANEL.tickers[1], PANEL.tickers[3])
    np.testing.assert_array_equal(part.close, PANEL.close[5:9][:, [1, 3]])
    np.testing.assert_array_equal(part.is_etf, PANEL.is_etf[[1, 3]])
    assert PANEL.tickers[PANEL.column("SPY")] == "SPY"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"close": PANEL.close[1:]}, "close has shape"),
        ({"is_etf": PANEL.is_etf[1:]}, "is_etf has shape"),
        ({"tickers": PANEL.tickers[::-1]}, "unique and sorted"),
        ({"dates": PANEL.dates[::-1]}, "strictly increasing"),
        ({"open": -PANEL.open}, "positive"),
    ],
)
def test_a_contradictory_panel_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(PANEL, **changes)


SAME_DAY = {
    "DD": "2019-06-03", "MSI": "2011-01-04", "TMUS": "2013-05-01", "LDOS": "2013-09-30", "EXPE": "2011-12-21",
    "HLT": "2017-01-04",
}  # fmt: skip
"""Tickers and days with a split and cash on one day."""


@pytest.mark.parametrize("ticker", SAME_DAY)
def test_real_same_day_split_and_dividend(market_data: Path, ticker: str) -> None:
    import duckdb

    day = np.datetime64(SAME_DAY[ticker])
    bars = duckdb.execute(
        f"select date, open, high, low, close, volume from '{market_data}/bars.parquet' "
        "where ticker = ? and date <= ?::date order by date desc limit 2",
        [ticker, str(day)],
    ).df()[::-1]
    actions = duckdb.execute(
        f"select kind, value from '{market_data}/actions.parquet' where ticker = ? and date = ?::date",
        [ticker, str(day)],
    ).df()
    ratio = actions[actions.kind == "split"].value.prod()
    cash = actions[actions.kind != "split"].value.sum()
    assert ratio != 1
    assert cash > 0
    # The file gives cash per new share.
    ones = np.ones((2, 1))
    panel = Panel(
        dates=bars.date.to_numpy().astype("datetime64[D]"), tickers=(ticker,),
        **{name: bars[[name]].to_numpy(dtype=float) for name in ("open", "high", "low", "close", "volume")},
        split=np.array([[1.0], [ratio]]), dividend=np.array([[0.0], [cash * ratio]]),
        member=ones > 0, constituent=ones > 0, sector=np.zeros((2, 1), dtype=np.int8), is_etf=np.array([False]),
    )  # fmt: skip
    result = returns(panel).total[1, 0]
    close, before = panel.close[1, 0], panel.close[0, 0]
    assert panel.dates[1] == day
    assert result == pytest.approx(close * ratio / (before - cash * ratio) - 1, abs=1e-15)
    # The other convention, cash put in at the close, differs by the product of the two returns alone.
    other = ratio * (close + cash) / before - 1
    share = cash * ratio / before
    assert result == pytest.approx(other + share * result, abs=1e-12)
    assert abs(result) < 0.25
