from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant50.errors import DataError
from quant50.limits import Limits, after_forced, attainable, bounds, turnover, violations, volatility

NO = np.zeros(4, dtype=bool)
LIMITS = Limits(
    caps=np.array([0.3, 0.3, 0.3, 0.3]),
    groups=np.array([0, 0, 1, 1]),
    group_caps=np.array([0.5, 0.4]),
    turnover=0.2,
    volatility=0.10,
    invested=0.8,
    maximum_holdings=3,
    pinned=NO,
    shrink_only=NO,
    forced_exit=NO,
)
COVARIANCE = np.diag([0.06, 0.08, 0.10, 0.12]) ** 2 / 252
HELD = np.array([0.2, 0.2, 0.2, 0.0])


def _mask(*names: int) -> np.ndarray:
    return np.isin(np.arange(4), names)


def _broken(weights: list[float], limits: Limits = LIMITS, held: np.ndarray = HELD) -> dict[str, float]:
    return {found.name: found.amount for found in violations(np.array(weights), held, COVARIANCE, limits, 1e-6)}


@pytest.mark.parametrize(
    ("weights", "limits", "expected"),
    [
        ([0.2, 0.2, 0.2, 0.0], LIMITS, {}),
        ([0.31, 0.1, 0.2, 0.0], LIMITS, {"cap": 0.01}),
        ([-0.01, 0.2, 0.2, 0.0], LIMITS, {"long_only": 0.01, "turnover": 0.01}),
        ([0.2, 0.2, 0.2, 0.1], LIMITS, {"holdings": 1.0 - 0.0}),
        ([0.2, 0.0, 0.2, 0.21], LIMITS, {"group": 0.01, "turnover": 0.01}),
        ([0.3, 0.2, 0.3, 0.0], replace(LIMITS, invested=0.75), {"invested": 0.05}),
        ([0.2, 0.21, 0.2, 0.0], replace(LIMITS, shrink_only=_mask(1)), {"cap": 0.01}),
        ([0.19, 0.2, 0.2, 0.0], replace(LIMITS, pinned=_mask(0)), {"pinned": 0.01}),
        ([0.0, 0.2, 0.0, 0.0], LIMITS, {"turnover": 0.2}),
        ([0.2, 0.2, 0.2, 0.0], replace(LIMITS, volatility=0.02), {"volatility": np.sqrt(8.0) * 0.01 - 0.02}),
        ([np.nan, 0.2, 0.2, 0.0], LIMITS, {"finite": 1.0}),
    ],
)
def test_each_limit_is_named_with_its_excess(weights: list[float], limits: Limits, expected: dict[str, float]) -> None:
    if "volatility" in expected:
        expected = {"volatility": volatility(np.array(weights), COVARIANCE) - 0.02}
        assert expected["volatility"] == pytest.approx(np.sqrt(0.012**2 + 0.016**2 + 0.02**2) - 0.02)
    assert _broken(weights, limits) == pytest.approx(expected)


@given(st.lists(st.floats(0, 0.2), min_size=4, max_size=4), st.lists(st.floats(0, 0.2), min_size=4, max_size=4))
def test_turnover_is_half_of_all_moves_with_cash(before: list[float], after: list[float]) -> None:
    moves = np.array(after) - np.array(before)
    cash = -moves.sum()
    assert turnover(np.array(before), np.array(after)) == pytest.approx(0.5 * (np.abs(moves).sum() + abs(cash)))


def test_forced_moves_come_first_and_do_not_count() -> None:
    limits = replace(LIMITS, forced_exit=_mask(0, 1), caps=np.array([0.0, 0.15, 0.3, 0.3]), turnover=0.0)
    np.testing.assert_allclose(after_forced(HELD, limits), [0.0, 0.15, 0.2, 0.0])
    assert _broken([0.0, 0.15, 0.2, 0.0], limits) == {}
    assert _broken([0.0, 0.10, 0.2, 0.0], limits) == pytest.approx({"turnover": 0.05})


def test_a_forced_name_may_not_be_bought() -> None:
    limits = replace(LIMITS, forced_exit=_mask(0))
    np.testing.assert_allclose(bounds(HELD, limits)[1], [0.2, 0.3, 0.3, 0.3])


def test_the_guard_scales_what_can_be_traded() -> None:
    limits = replace(LIMITS, pinned=_mask(0), invested=0.4)
    np.testing.assert_allclose(after_forced(HELD, limits), [0.2, 0.1, 0.1, 0.0])
    np.testing.assert_allclose(after_forced(HELD, replace(limits, invested=0.1)), [0.2, 0.0, 0.0, 0.0])


def test_limits_that_pinned_names_break_alone_are_widened_to_what_they_hold() -> None:
    limits = replace(
        LIMITS, pinned=_mask(0), invested=0.0, volatility=0.0, group_caps=np.zeros(2), maximum_holdings=0, turnover=1.0
    )
    wide = attainable(HELD, COVARIANCE, limits)
    assert (wide.invested, wide.maximum_holdings) == (0.2, 1)
    assert wide.volatility == pytest.approx(0.012)
    np.testing.assert_allclose(wide.group_caps, [0.2, 0.0])
    assert _broken([0.2, 0.0, 0.0, 0.0], limits) == {}


@pytest.mark.parametrize(
    "change", [{"turnover": -0.1}, {"volatility": np.nan}, {"groups": np.array([0, 0, 1, 2])}, {"pinned": NO[:3]}]
)
def test_malformed_limits_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError):
        replace(LIMITS, **change)
