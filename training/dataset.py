"""Training rows and the weekly calendar: which labelled rows a week's model may see.

A row is one member stock on one session with a known label. Its label spans [t+1, end]; a week whose first session is m
is trained through the session before m, on the rows whose span ends at or before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.panel import Bools, Floats, Ints

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Week:
    """One week of the training calendar.

    Attributes
    ----------
    usable_from : first session of the ISO week (m)
    first_row : row of m; the number of sessions if m lies just after the last of them
    number : weeks since the Monday 1969-12-29, the same for any calendar
    """

    usable_from: np.datetime64
    first_row: int
    number: int

    @property
    def trained_through(self) -> int:
        """Row of the last session before m, the last one the training may see."""
        return self.first_row - 1


@dataclass(frozen=True)
class Rows:
    """Labelled rows of a panel, by session, then by column.

    Attributes
    ----------
    dates : (T,) datetime64[D] sessions of the panel
    session : (R,) row t of the panel; column : (R,) column n of the panel
    features : (R, F) float32 ranks in [−0.5, 0.5], NaN where missing
    excess : (R,) label, finite; end : (R,) row at whose session the label's span ends
    unlabelled : number of member rows left out because their label is unknown
    featureless : number of labelled member rows left out because no feature is known
    """

    dates: NDArray[np.datetime64]
    session: Ints
    column: Ints
    features: NDArray[np.float32]
    excess: Floats
    end: Ints
    unlabelled: int = 0
    featureless: int = 0

    def take(self, indices: Ints) -> Rows:
        """The rows at the given ascending indices."""
        return Rows(
            self.dates, self.session[indices], self.column[indices], self.features[indices], self.excess[indices],
            self.end[indices],
        )  # fmt: skip


def labelled_rows(
    dates: NDArray[np.datetime64], features: NDArray[np.float32], member: Bools, excess: Floats, end: Ints
) -> Rows:
    """Rows (t, n) that are members with a finite label and at least one known feature.

    Parameters
    ----------
    dates : (T,); features : (T, N, F) float32; member : (T, N); excess : (T, N); end : (T,) or (T, N)

    Raises
    ------
    DataError
        The shapes disagree, or a label ends before it begins.
    """
    if features.ndim != 3 or features.shape[:2] != member.shape or excess.shape != member.shape:
        raise DataError(f"rows: features {features.shape}, member {member.shape} and labels {excess.shape} disagree")
    if len(dates) != len(member) or len(end) != len(member):
        raise DataError(f"rows: {len(dates)} dates and {len(end)} label ends for {len(member)} sessions")
    ends = np.broadcast_to(end if end.ndim == 2 else end[:, None], member.shape)
    labelled = member & np.isfinite(excess)
    known = ~np.isnan(features).all(axis=2)
    session, column = np.nonzero(labelled & known)
    if np.any(ends[session, column] <= session):
        raise DataError("rows: a label ends at or before its own session")
    return Rows(
        dates, session, column, features[session, column], excess[session, column],
        ends[session, column].astype(np.int64),
        unlabelled=int((member & ~labelled).sum()), featureless=int((labelled & ~known).sum()),
    )  # fmt: skip


def week_number(dates: NDArray[np.datetime64]) -> Ints:
    """Weeks since Monday 1969-12-29, so that one ISO week has one number.

    >>> week_number(np.array(["2021-01-03", "2021-01-04", "2021-01-10"], dtype="datetime64[D]")).tolist()
    [2661, 2662, 2662]
    """
    return (dates.astype("datetime64[D]").astype(np.int64) + 3) // 7


def weeks(dates: NDArray[np.datetime64], upcoming: np.datetime64 | None = None) -> tuple[Week, ...]:
    """Every week of a calendar that has a session before it.

    Parameters
    ----------
    dates : (T,) sessions
    upcoming : first session after the last of `dates`; adds the week it begins, if it begins one

    Raises
    ------
    DataError
        `upcoming` is not after the last session.
    """
    calendar = dates.astype("datetime64[D]")
    if upcoming is not None:
        if len(calendar) and upcoming <= calendar[-1]:
            raise DataError(f"weeks: the upcoming session {upcoming} is not after the last one, {calendar[-1]}")
        calendar = np.append(calendar, np.datetime64(upcoming, "D"))
    numbers = week_number(calendar)
    first = np.flatnonzero(np.diff(numbers)) + 1
    return tuple(Week(calendar[row], int(row), int(numbers[row])) for row in first)


def usable(rows: Rows, week: Week, years: float) -> Ints:
    """Indices of the rows a week may be trained on: spans ended by `trained_through`, sessions of the last years.

    Parameters
    ----------
    years : length of the window, which reaches back from `usable_from`
    """
    days = np.timedelta64(round(years * DAYS_PER_YEAR), "D")
    first = np.searchsorted(rows.session, np.searchsorted(rows.dates, week.usable_from - days))
    last = np.searchsorted(rows.session, week.first_row)
    return np.asarray(first + np.flatnonzero(rows.end[first:last] <= week.trained_through))


def every(rows: Rows, indices: Ints, step: int) -> Ints:
    """Of the rows at `indices`, those of every step-th session, counted back from the last one."""
    session = rows.session[indices]
    return indices[(session[-1] - session) % step == 0] if len(indices) else indices


def targets(session: Ints, excess: Floats, label: str) -> NDArray[np.float32]:
    """What the model learns, from the given rows alone: (R,) float32.

    Parameters
    ----------
    session, excess : (R,) rows in ascending session
    label : 'beats_median' (1 where the excess return is above the median of its session, else 0) or
        'rank' (rank in the session on [−0.5, 0.5], ties in the order of the rows)

    >>> targets(np.array([0, 0, 0, 1]), np.array([0.1, 0.3, 0.2, 0.5]), "beats_median").tolist()
    [0.0, 1.0, 0.0, 0.0]
    >>> targets(np.array([0, 0, 0]), np.array([0.1, 0.3, 0.2]), "rank").tolist()
    [-0.5, 0.5, 0.0]
    """
    if label not in ("beats_median", "rank"):
        raise DataError(f"targets: unknown label {label!r}; known are beats_median, rank")
    _, start, group, count = np.unique(session, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((excess, session))
    if label == "beats_median":
        ordered = excess[order]
        median = (ordered[start + (count - 1) // 2] + ordered[start + count // 2]) / 2.0
        return np.asarray(excess > median[group], dtype=np.float32)
    position = np.empty(len(excess))
    position[order] = np.arange(len(excess)) - start[group]
    spread = np.maximum(count - 1, 1)[group]
    return np.asarray(np.where(count[group] > 1, position / spread - 0.5, 0.0), dtype=np.float32)


def session_digests(rows: Rows, tickers: Sequence[str]) -> dict[int, bytes]:
    """Digest of the rows of each session: date, tickers, features, labels and lengths of their spans."""
    names = np.asarray(tickers, dtype=bytes)
    sessions, start, count = np.unique(rows.session, return_index=True, return_counts=True)
    stop = start + count
    digests = {}
    for session, first, last in zip(sessions.tolist(), start.tolist(), stop.tolist(), strict=True):
        digest = hashlib.sha256(str(rows.dates[session]).encode())
        digest.update(b" ".join(names[rows.column[first:last]].tolist()))
        for values in (rows.features[first:last], rows.excess[first:last], rows.end[first:last] - session):
            digest.update(np.ascontiguousarray(values).tobytes())
        digests[session] = digest.digest()
    return digests


def rows_digest(rows: Rows, indices: Ints, tickers: Sequence[str], whole: dict[int, bytes]) -> str:
    """sha256 of the rows at `indices`; sessions taken whole use the digests of `session_digests(rows)`."""
    sessions, used = np.unique(rows.session[indices], return_counts=True)
    first = np.searchsorted(rows.session, sessions)
    complete = np.searchsorted(rows.session, sessions, side="right") - first == used
    partial = indices[np.isin(rows.session[indices], sessions[~complete])]
    digests = whole | session_digests(rows.take(partial), tickers)
    return hashlib.sha256(b"".join(digests[session] for session in sessions.tolist())).hexdigest()
