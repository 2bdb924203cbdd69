import time

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from quant50.covariance import MINIMUM_SESSIONS, factor_form, ledoit_wolf
from quant50.errors import DataError


def _returns(sessions: int, names: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    market = random.normal(0.0003, 0.01, (sessions, 1))
    return market * random.uniform(0.5, 1.5, names) + random.standard_t(4, (sessions, names)) * 0.01


@pytest.mark.parametrize(("sessions", "names"), [(252, 300), (252, 5), (60, 60), (30, 1), (252, 2)])
def test_equals_scikit_learn(sessions: int, names: int) -> None:
    returns = _returns(sessions, names)
    reference = LedoitWolf().fit(returns)
    estimate = ledoit_wolf(returns)
    np.testing.assert_allclose(estimate.matrix, reference.covariance_, rtol=0, atol=1e-15)
    assert estimate.shrinkage == pytest.approx(reference.shrinkage_, abs=1e-12)
    assert not estimate.incomplete.any()
    assert not estimate.stand_in.any()


def test_missing_returns_keep_the_variance_known_and_the_matrix_semi_definite() -> None:
    returns = _returns(252, 40)
    returns[:200, 3] = np.nan
    returns[10:15, 7] = np.nan
    estimate = ledoit_wolf(returns)
    sample = estimate.matrix - estimate.shrinkage * np.trace(estimate.matrix) / 40 * np.eye(40)
    known = np.var(returns[200:, 3])
    assert sample[3, 3] / (1 - estimate.shrinkage) == pytest.approx(known, rel=1e-9)
    assert list(np.flatnonzero(estimate.incomplete)) == [3, 7]
    assert np.linalg.eigvalsh(estimate.matrix).min() > -1e-15


def test_too_short_a_history_stands_in_as_a_volatile_market() -> None:
    returns = _returns(252, 30)
    returns[:, 4] = np.nan
    returns[: -(MINIMUM_SESSIONS - 1), 9] = np.nan
    estimate = ledoit_wolf(returns)
    assert list(np.flatnonzero(estimate.stand_in)) == [4, 9]
    assert not estimate.incomplete[[4, 9]].any()
    deviations = np.sqrt(np.diag(estimate.matrix))
    others = np.delete(deviations, [4, 9])
    assert np.quantile(others, 0.6) < deviations[4] < np.quantile(others, 0.9)
    correlation = estimate.matrix[4] / deviations / deviations[4]
    assert np.delete(correlation, [4, 9]).min() > 0.1


def test_refuses_what_it_cannot_use() -> None:
    with pytest.raises(DataError, match="infinite"):
        ledoit_wolf(np.array([[0.0, np.inf], [0.0, 0.1]]))
    with pytest.raises(DataError, match="no name"):
        ledoit_wolf(np.full((252, 3), np.nan))
    with pytest.raises(DataError, match="returns must be"):
        ledoit_wolf(np.zeros((1, 3)))


def test_zero_variance_gives_zeros() -> None:
    np.testing.assert_array_equal(ledoit_wolf(np.zeros((252, 4))).matrix, np.zeros((4, 4)))


def test_factor_form_has_the_exact_diagonal_and_the_leading_directions() -> None:
    matrix = ledoit_wolf(_returns(252, 80)).matrix
    form = factor_form(matrix, 20)
    assert form.loadings.shape == (80, 20)
    np.testing.assert_allclose(np.diag(form.matrix()), np.diag(matrix), rtol=1e-12)
    leading = np.linalg.eigvalsh(matrix)[-20:].sum()
    assert np.sum(form.loadings**2) == pytest.approx(leading, rel=1e-10)
    np.testing.assert_allclose(factor_form(matrix, 80).matrix(), matrix, atol=1e-16)


def test_factor_form_of_fewer_names_than_factors_fills_up_with_zeros() -> None:
    matrix = ledoit_wolf(_returns(60, 3)).matrix
    form = factor_form(matrix, 20)
    assert form.loadings.shape == (3, 20)
    np.testing.assert_allclose(form.matrix(), matrix, atol=1e-16)


@pytest.mark.long
def test_speed_of_a_daily_estimate() -> None:
    returns = _returns(252, 300)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        ledoit_wolf(returns)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.003
