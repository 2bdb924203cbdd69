"""Each figure against a hand-checked case or an independent computation (scipy, statsmodels, plain loops)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from make_run import make_run
from numpy.testing import assert_allclose
from scipy import stats

from quant50.errors import DataError
from reports import metrics
from reports.inference import (
    deflated_sharpe,
    expected_maximum_sharpe,
    lo_standard_error,
    newey_west_alpha,
    probabilistic_sharpe,
    sharpe_standard_error,
    sharpe_variance,
)
from reports.run_folder import read_run

RNG = np.random.default_rng(11)
MARKET = 0.0004 + 0.01 * RNG.standard_t(4, 600)
RETURNS = 0.0002 + 0.7 * MARKET + 0.005 * RNG.standard_normal(600)
returns_arrays = st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=60).map(np.array)


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def test_growth_counts_calendar_days():
    assert metrics.cagr(1.0, *days("2016-01-01", "2026-01-01")) == pytest.approx(2 ** (365.25 / 3653) - 1, rel=1e-14)
    assert metrics.cagr(0.10, *days("2021-01-04", "2022-01-04")) == pytest.approx(1.10 ** (365.25 / 365) - 1, rel=1e-14)
    assert math.isnan(metrics.cagr(0.0, *days("2021-01-04", "2021-01-04")))
    assert metrics.cagr(-1.0, *days("2021-01-04", "2022-01-04")) == -1.0
    with pytest.raises(DataError, match="more than everything"):
        metrics.cagr(-1.2, *days("2021-01-04", "2022-01-04"))


def test_volatility_sharpe_sortino_by_hand():
    r = np.array([0.01, -0.02, 0.03, 0.0])
    deviation = math.sqrt(((0.005) ** 2 + 0.025**2 + 0.025**2 + 0.005**2) / 3)
    assert metrics.annual_volatility(r) == pytest.approx(deviation * math.sqrt(252), rel=1e-14)
    assert metrics.sharpe(r) == pytest.approx(0.005 / deviation * math.sqrt(252), rel=1e-14)
    assert metrics.sortino(r) == pytest.approx(0.005 / (0.02 / 2) * math.sqrt(252), rel=1e-14)
    assert math.isnan(metrics.sharpe(np.full(9, 0.01)))
    assert math.isnan(metrics.sortino(np.abs(r)))


def test_moments_are_scipys_and_kurtosis_is_not_excess():
    assert metrics.skewness(RETURNS) == pytest.approx(stats.skew(RETURNS), rel=1e-12)
    assert metrics.kurtosis(RETURNS) == pytest.approx(stats.kurtosis(RETURNS, fisher=False), rel=1e-12)
    assert metrics.kurtosis(np.array([-1.0, 1.0] * 5)) == pytest.approx(1.0)


def test_drawdown_dates_and_recovery():
    levels = np.array([100, 90, 105, 84, 94.5, 105, 110, 99.0])
    worst = metrics.maximum_drawdown(levels)
    assert (worst.peak, worst.trough, worst.recovery) == (2, 3, 5)
    assert worst.depth == pytest.approx(-0.2)
    assert metrics.maximum_drawdown(levels[:5]).recovery is None
    assert metrics.maximum_drawdown(np.array([1.0, 2.0])) == metrics.Drawdown(0.0, 0, 0, 0)
    assert metrics.calmar(0.1, -0.2) == pytest.approx(0.5)
    assert math.isnan(metrics.calmar(0.1, 0.0))
    with pytest.raises(DataError):
        metrics.maximum_drawdown(np.array([1.0, 0.0]))


@given(returns_arrays)
def test_drawdown_is_the_worst_of_all_pairs(returns):
    levels = np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    pairs = min(levels[j] / levels[i] - 1 for i in range(len(levels)) for j in range(i, len(levels)))
    worst = metrics.maximum_drawdown(levels)
    assert worst.depth == pytest.approx(pairs, abs=1e-12)
    assert levels[worst.trough] / levels[worst.peak] - 1 == pytest.approx(worst.depth, abs=1e-12)
    if worst.recovery is not None:
        assert levels[worst.recovery] >= levels[worst.peak]
        assert np.all(levels[worst.trough : worst.recovery] < levels[worst.peak])


def test_relative_figures_match_statsmodels():
    fit = sm.OLS(RETURNS, sm.add_constant(MARKET)).fit(cov_type="HAC", cov_kwds={"maxlags": 7, "use_correction": False})
    assert metrics.beta(RETURNS, MARKET) == pytest.approx(fit.params[1], rel=1e-10)
    assert metrics.alpha(RETURNS, MARKET) == pytest.approx(252 * fit.params[0], rel=1e-10)
    test = newey_west_alpha(RETURNS, MARKET, lags=7)
    assert_allclose([test.alpha, test.standard_error, test.t], [252 * fit.params[0], 252 * fit.bse[0], fit.tvalues[0]])
    assert newey_west_alpha(RETURNS, MARKET).lags == 5  # floor(4 · 6^(2/9)) = floor(5.95)
    difference = RETURNS - MARKET
    error = np.std(difference, ddof=1) * math.sqrt(252)
    assert metrics.tracking_error(RETURNS, MARKET) == pytest.approx(error, rel=1e-12)
    assert metrics.information_ratio(RETURNS, MARKET) == pytest.approx(252 * difference.mean() / error, rel=1e-10)
    assert math.isnan(metrics.beta(RETURNS, np.zeros(600)))


def test_value_at_risk_on_twenty_returns():
    r = np.arange(-10, 10) / 100.0
    assert metrics.value_at_risk(r) == pytest.approx(0.10)
    assert metrics.value_at_risk(r, 0.9) == pytest.approx(0.09)
    assert metrics.conditional_value_at_risk(r, 0.9) == pytest.approx(0.095)
    assert metrics.value_at_risk(RETURNS, 0.95) == -np.quantile(RETURNS, 0.05, method="inverted_cdf")
    with pytest.raises(DataError):
        metrics.value_at_risk(r, 95)


@given(returns_arrays)
def test_shortfall_is_never_below_value_at_risk(returns):
    assert metrics.conditional_value_at_risk(returns) >= metrics.value_at_risk(returns) - 1e-15


def test_hit_rate_leaves_out_days_without_a_move():
    assert metrics.hit_rate(np.array([0.1, 0.0, -0.1, 0.2, 0.3])) == 0.75


def test_annual_turnover():
    assert metrics.annual_turnover(np.array([0.10, 0.0])) == pytest.approx(12.6)


def test_sharpe_standard_error_equals_the_delta_method_and_lo_for_normal_moments():
    """The delta method on (mean, second moment), written out from the covariance of the sample moments."""
    m, n = RETURNS.mean(), len(RETURNS)
    variance = RETURNS.var()
    covariance = np.cov(np.vstack([RETURNS, RETURNS**2]), ddof=0)
    second = np.mean(RETURNS**2)
    gradient = np.array([second, -m / 2]) / variance**1.5
    expected = math.sqrt(252 * gradient @ covariance @ gradient / n)
    assert sharpe_standard_error(RETURNS) == pytest.approx(expected, rel=2e-3)  # ddof of the ratio inside
    grid = stats.norm.ppf((np.arange(20001) + 0.5) / 20001) * 0.01 + 0.0005
    assert sharpe_standard_error(grid) == pytest.approx(lo_standard_error(metrics.sharpe(grid), 20001), rel=1e-3)


def test_sharpe_standard_error_is_the_spread_over_many_samples():
    samples = 0.0006 + 0.01 * np.random.default_rng(3).standard_normal((2000, 504))
    spread = np.std([metrics.sharpe(s) for s in samples])
    assert np.mean([sharpe_standard_error(s) for s in samples]) == pytest.approx(spread, rel=0.05)


def test_sharpe_variance_gives_the_probability_of_the_paper():
    """Bailey and López de Prado (2012): monthly Sharpe 0.458, T 24, skewness −2.448, kurtosis 10.164 give 0.913."""
    score = 0.458 * math.sqrt(23 / sharpe_variance(0.458, -2.448, 10.164))
    assert stats.norm.cdf(score) == pytest.approx(0.913, abs=5e-4)


def test_probabilistic_sharpe_from_scipys_moments():
    excess, n = RETURNS, len(RETURNS)
    ratio = excess.mean() / excess.std(ddof=1)
    scale = math.sqrt(1 - stats.skew(excess) * ratio + (stats.kurtosis(excess) + 2) / 4 * ratio**2)
    expected = stats.norm.cdf((ratio - 0.02) * math.sqrt(n - 1) / scale)
    assert probabilistic_sharpe(excess, 0.02) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(DataError, match="per session"):
        probabilistic_sharpe(excess, 1.5)


def test_deflation_by_the_number_of_trials():
    assert deflated_sharpe(RETURNS, 1) == pytest.approx(probabilistic_sharpe(RETURNS), rel=1e-12)
    chances = [deflated_sharpe(RETURNS, n) for n in (1, 2, 10, 200)]
    assert chances == sorted(chances, reverse=True)
    threshold = expected_maximum_sharpe(10, 0.03)
    assert deflated_sharpe(RETURNS, 10, 0.03) == pytest.approx(probabilistic_sharpe(RETURNS, threshold), rel=1e-12)
    with pytest.raises(DataError, match="at least 1"):
        deflated_sharpe(RETURNS, 0)
    with pytest.raises(DataError, match="per session"):
        deflated_sharpe(RETURNS, 10, 2.0)


@pytest.mark.parametrize("trials", [10, 200])
def test_expected_maximum_matches_a_simulation(trials):
    best = np.random.default_rng(5).standard_normal((20_000, trials)).max(axis=1).mean()
    assert expected_maximum_sharpe(trials, 1.0) == pytest.approx(best, rel=0.03)


def test_probabilistic_sharpe_is_uniform_without_skill():
    samples = 0.01 * np.random.default_rng(8).standard_normal((1500, 252))
    assert stats.kstest([probabilistic_sharpe(s) for s in samples], "uniform").pvalue > 0.01


def test_tbill_of_91_days_repays_its_discount():
    dates = np.datetime64("2023-01-02") + np.arange(0, 92, 7)
    bill = metrics.tbill_returns(np.full(14, 5.0), dates)
    assert bill[0] == 0.0
    assert np.prod(1 + bill) == pytest.approx(1 / (1 - 0.05 * 91 / 360), rel=1e-12)
    weekend = metrics.tbill_returns(np.array([5.0, 5.0, 0.0]), days("2023-01-06", "2023-01-09", "2023-01-10"))
    assert weekend[1] == pytest.approx((1 - 0.05 * 91 / 360) ** (-3 / 91) - 1, rel=1e-12)
    assert weekend[2] == 0.0
    with pytest.raises(DataError):
        metrics.tbill_returns(np.array([5.0]), dates)


def test_summary_of_a_run_agrees_with_its_parts(tmp_path):
    run = read_run(make_run(tmp_path / "run", sessions=120))
    figures = metrics.summary(run)
    equity = run.equity["equity"].to_numpy()
    returns = equity[1:] / equity[:-1] - 1
    assert figures["total_return"] == pytest.approx(equity[-1] / 1e6 - 1, rel=1e-12)
    assert figures["volatility"] == pytest.approx(np.std(returns, ddof=1) * math.sqrt(252), rel=1e-12)
    assert figures["sharpe"] == pytest.approx(metrics.sharpe(returns - 0.00008), rel=1e-12)
    benchmark = run.equity["benchmark"].to_numpy()
    market = benchmark[1:] / benchmark[:-1] - 1
    assert figures["alpha"] == pytest.approx(metrics.alpha(returns - 0.00008, market - 0.00008), rel=1e-10)
    assert figures["alpha_t"] == pytest.approx(newey_west_alpha(returns - 0.00008, market - 0.00008).t, rel=1e-10)
    assert figures["turnover_chosen"] == pytest.approx(252 * run.equity["turnover_chosen"].mean(), rel=1e-12)
    assert figures["benchmark_total_return"] == pytest.approx(run.equity["benchmark"].iloc[-1] / 1e6 - 1, rel=1e-12)
    assert figures["costs"] == pytest.approx(run.orders["fee"].sum() + run.orders["slippage"].sum())
    assert all(isinstance(value, float) for value in figures.values())


@pytest.mark.parametrize("sessions", [1, 2, 3])
def test_summary_of_a_run_of_a_few_days(tmp_path, sessions):
    figures = metrics.summary(read_run(make_run(tmp_path / "run", sessions=sessions)))
    assert figures["sessions"] == sessions
    assert math.isfinite(figures["total_return"])
    assert math.isnan(figures["volatility"]) == (sessions < 3)
