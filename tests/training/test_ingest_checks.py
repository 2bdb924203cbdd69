"""Checks at the door against plain row-by-row references."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.sources.records import COLUMNS
from training.store.checks import flags, normalised, outside_listing, rejections

AS_OF = date(2020, 1, 10)
PRICE = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, np.nan, np.inf])
DAY = st.sampled_from([pd.Timestamp(2020, 1, day) for day in (2, 3, 6, 7, 10, 13)] + [None])
BAR = st.tuples(st.sampled_from(["A", "B", None]), DAY, PRICE, PRICE, PRICE, PRICE, st.sampled_from([-1.0, 0.0, 9.0]))


def reference(rows: list[tuple]) -> list[str]:  # type: ignore[type-arg]
    """One row after the other, as the rules read."""
    seen: set[tuple[str, pd.Timestamp]] = set()
    latest: dict[str, pd.Timestamp] = {}
    reasons = []
    for ticker, day, opening, high, low, close, volume in rows:
        reason = ""
        if ticker is None or day is None:
            reason = "missing ticker or date"
        elif day > pd.Timestamp(AS_OF):
            reason = "future date"
        elif not all(0 < price < np.inf for price in (opening, high, low, close)):
            reason = "price not positive"
        elif high < low:
            reason = "high below low"
        elif not low <= opening <= high:
            reason = "open outside low and high"
        elif not low <= close <= high:
            reason = "close outside low and high"
        elif not volume >= 0:
            reason = "volume not zero or more"
        elif (ticker, day) in seen:
            reason = "duplicate (ticker, date)"
        else:
            seen.add((ticker, day))
            if ticker in latest and day < latest[ticker]:
                reason = "unsorted date"
            else:
                latest[ticker] = day
        reasons.append(reason)
    return reasons


@given(st.lists(BAR, max_size=12))
def test_bars_are_rejected_as_the_rules_read(rows: list[tuple]) -> None:  # type: ignore[type-arg]
    columns = ["ticker", "date", "open", "high", "low", "close", "volume"]
    frame = normalised(pd.DataFrame(rows, columns=columns).astype({"ticker": object, "date": object}))
    assert rejections("bars", frame, AS_OF, set()).tolist() == reference(rows)


def test_what_is_in_the_store_already_is_a_duplicate() -> None:
    day = pd.Timestamp(2020, 1, 2)
    frame = normalised(pd.DataFrame([("A", day, 1.0, 1.0, 1.0, 1.0, 5)], columns=list(COLUMNS["bars"])))
    assert rejections("bars", frame, AS_OF, {("A", day)}).tolist() == ["duplicate (ticker, date)"]
    assert rejections("bars", frame, AS_OF, {("B", day)}).tolist() == [""]


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("split", 2.0, ""),
        ("dividend", 0.1, ""),
        ("split", 0.0, "split ratio not positive"),
        ("split", -2.0, "split ratio not positive"),
        ("split", np.nan, "split ratio not positive"),
        ("dividend", -0.1, "cash value not positive"),
        ("spinoff", np.inf, "cash value not positive"),
        ("merger", 1.0, "unknown kind of action"),
    ],
)
def test_actions(kind: str, value: float, reason: str) -> None:
    frame = pd.DataFrame([("A", "2020-01-02", kind, value, None)], columns=list(COLUMNS["actions"]))
    assert rejections("actions", normalised(frame), AS_OF, set()).tolist() == [reason]


def test_other_tables() -> None:
    holdings = pd.DataFrame(
        [
            ("2019-12-31", "A", "A", "n", "s", 0.1),
            ("2019-12-31", None, "B", "n", "s", 0.1),
            ("2019-12-31", None, "B", "n", "s", 0.2),  # two lines without bars may share a symbol
            ("2019-12-31", "A", "C", "n", "s", 0.1),
            ("2019-12-31", "D", "D", "n", "s", np.nan),
            ("no date", "E", "E", "n", "s", 0.1),
        ],
        columns=list(COLUMNS["index_holdings"]),
    )
    assert rejections("index_holdings", normalised(holdings), AS_OF, set()).tolist() == [
        "", "", "", "duplicate (date, ticker)", "weight not a number", "missing date or symbol",
    ]  # fmt: skip
    assets = pd.DataFrame(
        [
            ("A", "n", "stock", "s", "2019-01-01", "2019-12-31", None),
            ("B", "n", "bond", "s", None, None, None),
            ("C", "n", "etf", "s", "2020-01-03", "2020-01-02", None),
            ("A", "n", "stock", "s", None, None, None),
        ],
        columns=list(COLUMNS["assets"]),
    )
    assert rejections("assets", normalised(assets), AS_OF, set()).tolist() == [
        "", "type neither stock nor etf", "last date before first date", "duplicate (ticker)",
    ]  # fmt: skip


def test_ex_date_outside_the_listing() -> None:
    assets = pd.DataFrame({"ticker": ["A", "B"], "first_date": ["2020-01-03", None], "last_date": ["2020-01-07", None]})
    days = ["2020-01-02", "2020-01-03", "2020-01-07", "2020-01-08", "1999-01-01", "2020-01-03"]
    events = pd.DataFrame({"ticker": ["A", "A", "A", "A", "B", "C"], "date": days})
    outside = "ex-date outside the listing"
    assert outside_listing(normalised(events), normalised(assets)).tolist() == [
        outside, "", "", outside, "", "ticker without asset record",
    ]  # fmt: skip


def flagged(closes: list[float], actions: list[str] = [], days: list[str] | None = None) -> list[tuple[str, str]]:  # noqa: B006
    sessions = pd.bdate_range("2020-01-01", periods=30)
    dates = pd.DatetimeIndex(days) if days else sessions[: len(closes)]
    bars = pd.DataFrame({"ticker": "A", "date": dates, "close": closes})
    events = pd.DataFrame({"ticker": "A", "date": pd.DatetimeIndex(actions)})
    assets = pd.DataFrame({"ticker": ["A"], "first_date": [dates[0]], "last_date": [dates[-1]]})
    found = flags(bars, events, assets, sessions)
    return [(row.kind, f"{row.date:%m-%d}") for row in found.itertuples()]


def test_flags() -> None:
    assert flagged([10.0, 14.0, 8.5, 10.0]) == []  # +40 % and −39 % are not over 40 %
    assert flagged([10.0, 14.1, 8.4]) == [("move", "01-02"), ("move", "01-03")]
    assert flagged([10.0, 14.1, 8.4], actions=["2020-01-02"]) == [("move", "01-03")]
    assert flagged([1.0, 2.0 / 1.5, 1.2, 1.2, 1.2, 1.2, 1.3]) == []
    assert flagged([1.0, 1.2, 1.2, 1.2, 1.2, 1.2, 1.3]) == [("stale run", "01-02")]
    assert flagged([1.0, 1.1, 1.2], days=["2020-01-01", "2020-01-03", "2020-01-06"]) == [("missing session", "01-02")]
    assert flagged([1.0, 1.1, 1.2], days=["2020-01-02", "2020-01-03", "2020-01-04"]) == [("not a session", "01-04")]


def test_a_run_does_not_cross_tickers_and_listing_is_flagged() -> None:
    sessions = pd.bdate_range("2020-01-01", periods=4)
    bars = pd.DataFrame({"ticker": ["A"] * 4 + ["B"] * 4, "date": [*sessions, *sessions], "close": 1.0})
    assets = pd.DataFrame({"ticker": ["A"], "first_date": [sessions[1]], "last_date": [sessions[-1]]})
    found = flags(bars, bars.iloc[:0][["ticker", "date"]], assets, sessions)
    assert found[["ticker", "kind"]].to_numpy().tolist() == [["A", "outside listing"], ["B", "no asset record"]]
