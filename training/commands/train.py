"""The command `train`: weekly models of a range of sessions, or of this week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import exchange_calendars
import numpy as np

from quant50.errors import DataError
from training.commands.console import progress
from training.dataset import Week, weeks
from training.fit import FitParameters
from training.prepared import Prepared
from training.registry import claim
from training.weekly import Result, train_weeks


def weeks_of(prepared: Prepared, start: int, stop: int) -> list[Week]:
    """Weeks whose models the sessions start … stop − 1 are traded with."""
    calendar = weeks(prepared.market.panel.dates)
    first = np.array([week.first_row for week in calendar])
    begin = int(np.searchsorted(first, start, side="right")) - 1
    if begin < 0:
        raise DataError("training: no week begins before the first session of the range")
    return [week for week in calendar[begin:] if week.first_row < stop]


def train_range(
    prepared: Prepared, storage: Path, chosen: Sequence[Week], parameters: FitParameters, workers: int = 2
) -> list[Result]:
    """Train weeks with a progress bar; weeks that are cached cost next to nothing.

    Raises
    ------
    ModelError
        The storage holds models of another market or kind.
    """
    claim(storage, "simulated" if prepared.market.simulated else "real", parameters.kind)
    with progress(f"weekly models ({parameters.kind})", len(chosen)) as advance:
        return train_weeks(
            prepared.training_set(), chosen, storage, parameters, workers, lambda _done, _all, _result: advance(1)
        )


def counted(results: Sequence[Result]) -> str:
    """How many weeks were trained, cached and skipped.

    >>> counted([Result("2020-01-06", "trained"), Result("2020-01-13", "cached")])
    '1 trained, 1 cached'
    """
    return ", ".join(
        f"{count} {status}" for status, count in sorted(Counter(r.status for r in results).items(), reverse=True)
    )


def last_weeks(prepared: Prepared, count: int) -> tuple[int, int]:
    """Rows start … stop − 1 of the last weeks of a market; DataError if it has fewer."""
    dates = prepared.market.panel.dates
    calendar = weeks(dates)
    if count > len(calendar):
        raise DataError(f"{count} weeks asked for, the market has {len(calendar)}")
    return calendar[-count].first_row, len(dates)


def this_week(prepared: Prepared) -> Week:
    """The week that begins after the last session of the data, else the last week that has begun."""
    dates = prepared.market.panel.dates
    following = next_session(dates[-1])
    return weeks(dates, following)[-1]


def next_session(day: np.datetime64) -> np.datetime64:
    """First NYSE session after a day."""
    calendar = exchange_calendars.get_calendar("XNYS", start=str(day), end=str(day + np.timedelta64(14, "D")))
    later = calendar.sessions[calendar.sessions > str(day)]
    return np.datetime64(str(later[0].date()), "D")
