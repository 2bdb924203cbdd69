"""Stylised facts: known answers of each measure, and markets that are not one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from quant50.errors import DataError
from training import stylised_facts as sf
from training.stylised_bands import BANDS, measure_bands, real_windows


def sample_of(overnight: np.ndarray, intraday: np.ndarray, generator: np.random.Generator) -> sf.Sample:
    """A sample whose volume, range and actions are noise, so that only the returns can pass or fail."""
    shape = overnight.shape
    return sf.Sample(
        returns=(1 + overnight) * (1 + intraday) - 1,
        overnight=overnight,
        intraday=intraday,
        range=np.abs(intraday) + 0.01,
        dollar_volume=np.exp(generator.standard_normal(shape)),
        dividends=(generator.random(shape) < 3.2 / 252).astype(float),
        splits=(generator.random(shape) < 0.02 / 252).astype(float),
    )


def failed(values: dict[str, float]) -> set[str]:
    """Facts outside their bands, less those of volume and range, which these markets do not have."""
    ours = {"volume against |r|", "autocorrelation of log volume", "range against |r|", "dividends a year"}
    return {row.fact for row in sf.table(values, BANDS) if not row.passed} - ours


def test_gaussian_returns_are_not_a_market() -> None:
    generator = np.random.default_rng(0)
    draw = [0.6 * generator.standard_normal((1008, 1)) + 0.8 * generator.standard_normal((1008, 60)) for _ in range(2)]
    wrong = failed(sf.facts(sample_of(0.008 * draw[0], 0.013 * draw[1], generator)))
    assert {"kurtosis", "tail exponent", "autocorrelation of |r|, lag 1", "overnight kurtosis"} <= wrong


def test_student_returns_of_constant_volatility_are_not_a_market() -> None:
    generator = np.random.default_rng(1)
    draw = [0.6 * generator.standard_t(4, (1008, 1)) + 0.8 * generator.standard_t(4, (1008, 60)) for _ in range(2)]
    wrong = failed(sf.facts(sample_of(0.006 * draw[0], 0.010 * draw[1], generator)))
    assert {"autocorrelation of |r|, lag 1", "autocorrelation of |r|, lags 20-40", "leverage effect"} <= wrong


def test_real_returns_on_shuffled_dates_are_not_a_market(market_data: Path) -> None:
    generator = np.random.default_rng(2)
    every = [sf.window_facts(one.take(generator.permutation(sf.WINDOW))) for one in real_windows(market_data)]
    wrong = failed({name: float(np.median([one[name] for one in every])) for name in every[0]})
    assert len(wrong) >= 3
    assert {"autocorrelation of |r|, lag 1", "leverage effect"} <= wrong


def test_written_bands_are_those_measured(market_data: Path) -> None:
    measured = measure_bands(market_data)
    assert list(measured) == list(BANDS)
    for fact, band in measured.items():
        assert band == pytest.approx(BANDS[fact], abs=6e-5), fact


def test_measures_agree_with_independent_ones() -> None:
    generator = np.random.default_rng(3)
    returns = generator.standard_t(5, (400, 12)) + generator.standard_normal((400, 1))
    matrix = np.corrcoef(returns.T)
    assert sf.pair_correlation(returns) == pytest.approx(matrix[np.triu_indices(12, 1)].mean(), abs=1e-12)
    lag = [np.corrcoef(returns[:-3, i], np.abs(returns[3:, i]))[0, 1] for i in range(12)]
    assert sf.lagged(returns, np.abs(returns), [3]) == pytest.approx(np.mean(lag), abs=1e-12)
    scipy_stats = pytest.importorskip("scipy.stats")
    assert sf.excess_kurtosis(returns) == pytest.approx(scipy_stats.kurtosis(returns, axis=0), abs=1e-9)


def test_hill_finds_the_exponent_of_a_pareto_tail() -> None:
    draw = np.random.default_rng(4).pareto(3.0, (20_000, 8)) + 1.0
    signed = draw * np.where(np.arange(20_000) % 2, 1.0, -1.0)[:, None]
    assert sf.hill(signed, 0.01).mean() == pytest.approx(3.0, rel=0.06)


def test_correlation_of_a_constant_column_is_zero() -> None:
    assert sf.correlation(np.ones((5, 1)), np.arange(5.0)[:, None]).tolist() == [0.0]


def test_bad_samples_are_refused_with_a_sentence() -> None:
    ones = np.ones((70, 12))
    good = sf.Sample(*(ones for _ in fields(sf.Sample)))
    with pytest.raises(DataError, match="fewer than one window"):
        sf.facts(good)
    with pytest.raises(DataError, match="sessions of"):
        sf.window_facts(good.take(slice(0, 10)))
    with pytest.raises(DataError, match="must be"):
        sf.Sample(ones, ones[:3], ones, ones, ones, ones, ones)
    with pytest.raises(DataError, match="no band"):
        sf.table({"unheard of": 1.0}, BANDS)
    with pytest.raises(DataError, match="missing"):
        measure_bands(Path("nowhere"))
