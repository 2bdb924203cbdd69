"""Expected returns against hand-computed cases and NumPy's least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant50.errors import DataError
from quant50.expected_returns import beta, expected_returns, residual_volatility, standardise
from quant50.parameters import Parameters

PARAMETERS = Parameters()


def market_and_returns(seed: int = 0, names: int = 4, sessions: int = 252):  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    market = 0.01 * random.standard_normal(sessions)
    return market, market[:, None] * np.linspace(0.5, 1.5, names) + 0.02 * random.standard_normal((sessions, names))


def test_beta_and_residual_volatility_equal_least_squares() -> None:
    market, returns = market_and_returns()
    slopes = beta(returns, market)
    for column in range(4):
        slope, intercept = np.polyfit(market, returns[:, column], 1)
        assert slopes[column] == pytest.approx(slope)
        residual = returns[:, column] - intercept - slope * market
        assert residual_volatility(returns, market, slopes)[column] == pytest.approx(residual.std(ddof=1))


def test_beta_of_a_market_that_stands_still_is_one() -> None:
    assert beta(np.ones((5, 2)), np.zeros(5)).tolist() == [1.0, 1.0]


def test_one_unknown_column_leaves_the_others_alone() -> None:
    market, returns = market_and_returns()
    clean = beta(returns, market)
    returns[3, 1] = np.nan
    assert beta(returns, market)[[0, 2, 3]].tolist() == clean[[0, 2, 3]].tolist()


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
def test_standardised_scores_have_mean_zero_and_deviation_one(values: list[float]) -> None:
    scores = np.array(values)
    z = standardise(scores, np.ones(scores.size, bool), np.inf)
    if scores.std() > 1e-9:
        assert z.mean() == pytest.approx(0, abs=1e-6)
        assert z.std() == pytest.approx(1)
    assert np.abs(standardise(scores, np.ones(scores.size, bool), 3.0)).max() <= 3.0


def test_outliers_are_clipped_and_equal_scores_say_nothing() -> None:
    scores = np.zeros(100)
    scores[7] = 1.0
    assert standardise(scores, np.ones(100, bool), 3.0)[7] == 3.0
    assert not standardise(np.full(5, 0.3), np.ones(5, bool), 3.0).any()


def test_mean_is_beta_premium_plus_skill_times_volatility_times_score() -> None:
    market, returns = market_and_returns()
    scores, member = np.array([0.1, 0.3, np.nan, 9.0]), np.array([True, True, True, False])
    result = expected_returns(returns, market, scores, member, 0.02, 0.01, PARAMETERS)
    sigma = np.array([(returns[-63:, i] - result.beta[i] * market[-63:]).std(ddof=1) for i in range(4)])
    root = 5**0.5
    expected = 5 * result.beta * 0.04 / 252 + 0.02 * sigma * root * np.array([-1.0, 1.0, 0.0, 0.0])
    assert result.mean == pytest.approx(expected)
    assert result.standard_error == pytest.approx(0.01 * sigma * root * np.array([1, 1, 1, 0]))
    assert result.unscored == 1


def test_windows_are_252_and_63_sessions() -> None:
    market, returns = market_and_returns(sessions=300)
    arguments = np.zeros(4), np.ones(4, bool), 0.02, 0.01, PARAMETERS
    last = expected_returns(returns[-252:], market[-252:], *arguments)
    assert expected_returns(returns, market, *arguments).mean == pytest.approx(last.mean)
    returns[-64] += 0.5
    moved = expected_returns(returns, market, *arguments)
    assert (moved.beta != last.beta).all()


@pytest.mark.parametrize("broken", ["short", "nan", "ic"])
def test_bad_windows_are_refused(broken: str) -> None:
    market, returns = market_and_returns(sessions=251 if broken == "short" else 252)
    if broken == "nan":
        returns[5, 2] = np.nan
    ic = np.nan if broken == "ic" else 0.02
    with pytest.raises(DataError):
        expected_returns(returns, market, np.zeros(4), np.ones(4, bool), ic, 0.01, PARAMETERS)
