"""Stop-loss and drawdown guard against hand-computed cases, and the state's round trip."""

from __future__ import annotations

import json
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant50.errors import DataError
from quant50.parameters import Parameters
from quant50.risk import MINIMUM_EXPOSURE, Guard, GuardState, StopLoss, advance, cooling, guard_step, sessions_since
from quant50.state import Mark, State

GUARD = Guard.of(Parameters())
STOP = StopLoss.of(Parameters())
DATES = np.busday_offset("2015-01-01", np.arange(2000), roll="forward").astype("datetime64[D]")


def test_stop_distance_uses_the_five_returns_before_today() -> None:
    returns = np.full((70, 1), 0.001)
    returns[-6:-1, 0] = [0.01, -0.02, 0.03, 0.0, -0.01]
    expected = 3 * np.std([0.01, -0.02, 0.03, 0.0, -0.01], ddof=1) * sqrt(5)
    assert STOP.distance(returns)[0] == pytest.approx(expected)
    returns[-1] = -0.5  # today's fall must not widen its own stop
    assert STOP.distance(returns)[0] == pytest.approx(expected)


def test_stop_distance_is_at_least_half_the_long_volatility() -> None:
    random = np.random.default_rng(1)
    returns = 0.02 * random.standard_normal((80, 1))
    returns[-6:-1] = 0.0
    assert STOP.distance(returns)[0] == pytest.approx(3 * 0.5 * returns[-64:-1, 0].std(ddof=1) * sqrt(5))


def test_stop_acts_strictly_below_its_distance() -> None:
    returns = np.zeros((70, 3))
    returns[-6:-1, :] = np.array([0.01, -0.01, 0.01, -0.01, 0.0])[:, None]
    distance = float(STOP.distance(returns)[0])
    marks = (Mark(1 - distance + 1e-9, 1.0), Mark(1 - distance - 1e-9, 1.0), Mark(1.0, 1.0))
    assert STOP.triggered(marks, returns).tolist() == [False, True, False]


def test_unknown_volatility_sells_nothing() -> None:
    returns = np.full((70, 1), np.nan)
    assert STOP.triggered((Mark(0.1, 1.0),), returns).tolist() == [False]
    with pytest.raises(DataError):
        STOP.distance(np.zeros((63, 1)))


def test_marks_follow_the_total_return_index_from_the_fill() -> None:
    first = advance(None, np.array([0.5]), 0.02)
    assert first == Mark(1.02, 1.02)
    assert advance(None, np.array([]), -0.02) == Mark(0.98, 1.0)
    after = advance(first, np.array([0.10, -0.20]), 0.0)
    assert after.index == pytest.approx(1.02 * 1.10 * 0.80)
    assert after.maximum == pytest.approx(1.02 * 1.10)
    assert advance(after, np.array([]), 0.3) == after


def test_sessions_are_counted_on_the_calendar() -> None:
    assert sessions_since(DATES[:20], str(DATES[9])) == 10
    assert sessions_since(DATES[:20], str(DATES[19])) == 0
    with pytest.raises(DataError):
        sessions_since(DATES[:20], str(DATES[20]))


def test_cool_off_ends_after_ten_sessions() -> None:
    stopped = {"A": str(DATES[5])}
    assert cooling(stopped, STOP, DATES[:15]) == stopped  # 9 sessions later
    assert cooling(stopped, STOP, DATES[:16]) == {}


def run_guard(equities: list[float]) -> list[tuple[float, GuardState]]:
    state, steps = GuardState(0.0, "", ""), []
    for t, equity in enumerate(equities):
        exposure, state = guard_step(GUARD, state, equity, DATES[: t + 1])
        steps.append((exposure, state))
    return steps


def test_guard_reset_and_recovery_to_the_session() -> None:
    steps = run_guard([100.0] + [88.0] * 60)
    exposures = [exposure for exposure, _ in steps]
    assert exposures[0] == 1.0
    assert exposures[1:22] == [0.0] * 21
    assert exposures[22:27] == [0.25] * 5
    assert exposures[27:32] == [0.5] * 5
    assert exposures[32:37] == [0.75] * 5
    assert exposures[37:] == [1.0] * 24
    assert steps[21][1].peak == 100.0
    assert steps[22][1].peak == 88.0


def test_guard_ramp_and_floor() -> None:
    exposures = [exposure for exposure, _ in run_guard([100, 95, 94, 92.5, 90.3, 90.2, 100])]
    assert exposures == pytest.approx([1.0, 1.0, 0.8, 0.5, 0.06, 0.0, 1.0])
    assert MINIMUM_EXPOSURE == 0.05


def test_a_second_fall_during_recovery_starts_a_new_spell() -> None:
    steps = run_guard([100.0] + [88.0] * 25 + [79.0] * 30)
    exposures = [exposure for exposure, _ in steps]
    assert exposures[26:47] == [0.0] * 21
    assert exposures[47] == 0.25
    assert steps[47][1].peak == 79.0


def test_guard_refuses_an_account_without_equity() -> None:
    with pytest.raises(DataError):
        guard_step(GUARD, GuardState(1.0, "", ""), 0.0, DATES[:1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.004, 0.001))
def test_guard_never_locks(seed: int, drift: float) -> None:
    """Equity that follows the allowed exposure is back above a quarter within 21 sessions of any standstill."""
    random = np.random.default_rng(seed)
    equity, state, low = 100.0, GuardState(0.0, "", ""), 0
    for t in range(600):
        exposure, state = guard_step(GUARD, state, equity, DATES[: t + 1])
        assert 0.0 <= exposure <= 1.0
        low = low + 1 if exposure == 0.0 else 0
        assert low <= GUARD.reset
        equity *= 1 + exposure * (drift + 0.015 * random.standard_t(4))
        equity = max(equity, 1e-6)


def test_state_survives_json() -> None:
    state = State("2020-01-03", 120.0, 110.0, "2020-01-02", "", {"B": Mark(1.1, 1.2), "A": Mark()}, {"C": "2020-01-01"})
    record = json.loads(json.dumps(state.to_dict()))
    assert State.from_dict(record) == state
    assert list(record["marks"]) == ["A", "B"]


@pytest.mark.parametrize(
    "change",
    [
        {"peak": "much"},
        {"marks": {"A": {"index": 2.0, "maximum": 1.0}}},
        {"marks": 3},
        {"extra": 1},
        {"guard_peak": 1.0},
    ],
)
def test_malformed_states_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError):
        State.from_dict({**State().to_dict(), **change})
