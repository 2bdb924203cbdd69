"""Which rows a week sees, and what their targets and digests are."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant50.errors import DataError
from training.dataset import (
    Rows,
    Week,
    every,
    labelled_rows,
    rows_digest,
    session_digests,
    targets,
    usable,
    weeks,
)


def calendar(sessions: int, first: str = "2019-12-02") -> np.ndarray:
    return np.busday_offset(first, np.arange(sessions), holidays=["2019-12-25", "2020-01-01", "2020-01-20"])


def some_rows(seed: int = 0, sessions: int = 60, names: int = 8) -> Rows:
    random = np.random.default_rng(seed)
    features = random.uniform(-0.5, 0.5, (sessions, names, 3)).astype(np.float32)
    end = np.arange(sessions)[:, None] + random.choice([2, 6, 6, 6, 6, 20], (sessions, names))
    member = random.random((sessions, names)) < 0.8
    return labelled_rows(calendar(sessions), features, member, random.standard_normal((sessions, names)), end)


def test_rows_are_members_with_a_label_and_a_feature() -> None:
    features = np.zeros((2, 3, 2), np.float32)
    features[0, 1] = np.nan
    features[1, 0, 1] = np.nan
    excess = np.array([[0.1, 0.2, np.nan], [0.3, 0.4, 0.5]])
    member = np.array([[True, True, True], [True, False, True]])
    rows = labelled_rows(calendar(2), features, member, excess, np.array([6, 7]))
    assert list(zip(rows.session, rows.column, rows.excess, rows.end, strict=True)) == [
        (0, 0, 0.1, 6), (1, 0, 0.3, 7), (1, 2, 0.5, 7)
    ]  # fmt: skip
    assert (rows.unlabelled, rows.featureless) == (1, 1)


def test_malformed_rows_are_refused() -> None:
    features, member, excess = np.zeros((2, 3, 2), np.float32), np.ones((2, 3), bool), np.zeros((2, 3))
    for arguments in (
        (calendar(3), features, member, excess, np.array([6, 7])),
        (calendar(2), features[:, :2], member, excess, np.array([6, 7])),
        (calendar(2), features, member, excess, np.array([6, 1])),
    ):
        with pytest.raises(DataError):
            labelled_rows(*arguments)


@given(st.dates(date(1969, 12, 29), date(2040, 1, 1)), st.sets(st.integers(0, 80), min_size=2, max_size=40))
def test_a_week_begins_with_the_first_session_of_its_iso_week(first: date, offsets: set[int]) -> None:
    dates = np.datetime64(first) + np.array(sorted(offsets))
    iso = [day.isocalendar()[:2] for day in dates.tolist()]
    expected = [row for row in range(1, len(dates)) if iso[row] != iso[row - 1]]
    found = weeks(dates)
    assert [week.first_row for week in found] == expected
    assert all(week.usable_from == dates[week.first_row] for week in found)
    assert len({week.number for week in found}) == len(found)


def test_the_upcoming_week_is_the_one_a_longer_calendar_has() -> None:
    dates = calendar(40)
    for week in weeks(dates):
        assert weeks(dates[: week.first_row], week.usable_from)[-1] == week
    assert weeks(dates[:7], dates[7]) == weeks(dates[:7])
    with pytest.raises(DataError, match="not after"):
        weeks(dates, dates[-1])


@given(st.integers(0, 5), st.floats(0.02, 0.3))
def test_no_row_whose_span_ends_after_trained_through_enters(seed: int, years: float) -> None:
    rows = some_rows(seed)
    for week in weeks(rows.dates):
        chosen = set(usable(rows, week, years).tolist())
        oldest = week.usable_from - np.timedelta64(round(years * 365.25), "D")
        expected = {
            i
            for i, (session, end) in enumerate(zip(rows.session, rows.end, strict=True))
            if end <= week.first_row - 1 and oldest <= rows.dates[session]
        }
        assert chosen == expected


def test_every_counts_back_from_the_last_session() -> None:
    rows = some_rows()
    indices = np.flatnonzero(rows.session < 50)
    assert sorted(set(rows.session[every(rows, indices, 5)])) == list(range(4, 50, 5))
    assert every(rows, indices, 1).tolist() == indices.tolist()
    assert len(every(rows, indices[:0], 2)) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3)), min_size=1, max_size=60))
def test_targets_by_session(pairs: list[tuple[int, int]]) -> None:
    pairs.sort(key=lambda pair: pair[0])
    session = np.array([pair[0] for pair in pairs])
    excess = np.array([float(pair[1]) for pair in pairs])
    beats, rank = targets(session, excess, "beats_median"), targets(session, excess, "rank")
    for value in np.unique(session):
        own = session == value
        assert (beats[own] == (excess[own] > np.median(excess[own]))).all()
        order = np.argsort(excess[own], kind="stable")
        expected = np.linspace(-0.5, 0.5, own.sum()) if own.sum() > 1 else np.zeros(1)
        np.testing.assert_allclose(rank[own][order], expected, atol=1e-7)


def test_unknown_label_is_refused() -> None:
    with pytest.raises(DataError, match="unknown label"):
        targets(np.zeros(1, np.int64), np.zeros(1), "up")


def test_digest_sees_every_row_and_no_other() -> None:
    rows, tickers = some_rows(), [f"T{n}" for n in range(8)]
    week = weeks(rows.dates)[6]
    indices = usable(rows, week, 0.1)

    def digest(changed: Rows, names: list[str] = tickers) -> str:
        return rows_digest(changed, usable(changed, week, 0.1), names, session_digests(changed, names))

    before = digest(rows)
    inside = np.isin(np.arange(len(rows.session)), indices)
    for row in (0, indices[0] - 1, indices[0], indices[len(indices) // 2], indices[-1], len(inside) - 1):
        excess, features = rows.excess.copy(), rows.features.copy()
        excess[row] += 1.0
        features[row, 2] += 0.01
        for changed in (
            Rows(rows.dates, rows.session, rows.column, rows.features, excess, rows.end),
            Rows(rows.dates, rows.session, rows.column, features, rows.excess, rows.end),
        ):
            assert (digest(changed) == before) == (not inside[row])
    assert digest(rows, ["X", *tickers[1:]]) != before


def test_digest_does_not_depend_on_where_the_panel_starts() -> None:
    rows, tickers = some_rows(), [f"T{n}" for n in range(8)]
    late = np.flatnonzero(rows.session >= 10)
    shifted = Rows(
        rows.dates[10:], rows.session[late] - 10, rows.column[late], rows.features[late], rows.excess[late],
        rows.end[late] - 10,
    )  # fmt: skip
    week = weeks(rows.dates)[8]
    moved = Week(week.usable_from, week.first_row - 10, week.number)
    assert moved in weeks(shifted.dates)
    assert rows_digest(rows, usable(rows, week, 0.05), tickers, session_digests(rows, tickers)) == rows_digest(
        shifted, usable(shifted, moved, 0.05), tickers, session_digests(shifted, tickers)
    )
