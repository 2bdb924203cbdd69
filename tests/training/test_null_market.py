"""The null market's statistics against values worked out by hand, and the command end to end."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quant50.errors import DataError
from training.commands import null_market as command
from training.evaluation import Mean, newey_west
from training.null_market import SeedFigures, excess_returns, net_alpha, pool, verdict

NOTHING = Mean(0.001, 0.002, 4000)
ALPHA = Mean(-0.01, 0.02, 4000)


def outcome(signal: float, ic: Mean = NOTHING, auc: Mean = NOTHING, alpha: Mean = ALPHA) -> list[bool]:
    return [check.passed for check in verdict(signal, ic, auc, alpha)]


def test_pooled_mean_and_error_by_hand() -> None:
    pooled = pool([Mean(0.02, 0.005, 100), Mean(-0.01, 0.002, 300)])
    assert pooled.value == pytest.approx(-0.0025)  # (100 · 0.02 − 300 · 0.01) / 400
    assert pooled.standard_error == pytest.approx(math.sqrt(0.00125**2 + 0.0015**2))
    assert pooled.sessions == 400


def test_pooled_mean_is_that_of_all_sessions_and_seeds_are_not_joined() -> None:
    # Two seeds around different means: joined into one series their distance would look like autocorrelation.
    generator = np.random.default_rng(0)
    series = [0.1 + 0.02 * generator.standard_normal(400), -0.1 + 0.02 * generator.standard_normal(200)]
    pooled = pool([newey_west(one) for one in series])
    joined = newey_west(np.concatenate(series))
    assert pooled.value == pytest.approx(np.concatenate(series).mean(), abs=1e-15)
    assert pooled.standard_error == pytest.approx(0.02 / math.sqrt(600), rel=0.35)
    assert joined.standard_error > 5 * pooled.standard_error


def test_a_market_without_sessions_is_not_passed_over() -> None:
    with pytest.raises(DataError, match="no session"):
        pool([NOTHING, Mean(math.nan, math.nan, 0)])
    with pytest.raises(DataError, match="no session"):
        pool([])


def test_an_unknown_error_passes_no_check() -> None:
    unknown = pool([NOTHING, Mean(0.0, math.nan, 1)])
    assert math.isnan(unknown.standard_error)
    assert outcome(0.0, ic=unknown, auc=unknown, alpha=unknown) == [False] * 4
    assert outcome(0.03, ic=Mean(math.nan, math.nan, 1)) == [False]


def test_excess_returns_by_hand() -> None:
    levels, tbill = np.array([100.0, 102.0, 96.9]), np.array([9.0, 0.001, 0.002])
    assert excess_returns(levels, tbill) == pytest.approx([0.019, -0.052])


def test_a_planted_alpha_is_found_with_its_error() -> None:
    generator = np.random.default_rng(1)
    tbill = np.full(3001, 0.0001)
    market = 0.01 * generator.standard_normal(3000)
    noise = 0.002 * generator.standard_normal(3000)
    planted = 0.05 / 252
    noise -= noise.mean()
    strategy = planted + 0.6 * market + noise
    levels = [np.concatenate([[1.0], np.cumprod(1.0 + one + 0.0001)]) for one in (strategy, market)]
    found = net_alpha(levels[0], levels[1], tbill)
    assert found.value == pytest.approx(0.05, abs=0.001)
    assert found.standard_error == pytest.approx(252 * 0.002 / math.sqrt(3000), rel=0.15)
    assert found.sessions == 3000


def test_nothing_found_in_the_null_market_passes() -> None:
    assert outcome(0.0) == [True, True, True, True]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_each_finding_in_the_null_market_fails_its_own_check(sign: float) -> None:
    assert outcome(0.0, ic=Mean(sign * 0.0041, 0.002, 4000)) == [False, True, True, True]
    assert outcome(0.0, ic=Mean(sign * 0.0039, 0.002, 4000)) == [True, True, True, True]
    assert outcome(0.0, auc=Mean(sign * 0.0041, 0.002, 4000)) == [True, True, False, True]
    assert outcome(0.0, alpha=Mean(sign * 0.041, 0.02, 4000)) == [True, True, True, False]


def test_a_null_without_power_fails() -> None:
    assert outcome(0.0, ic=Mean(0.0, 0.0051, 400)) == [True, False, True, True]
    assert outcome(0.0, ic=Mean(0.0, 0.005, 400)) == [True, True, True, True]


def test_a_planted_signal_must_be_found_for_its_most_part() -> None:
    assert outcome(0.03, ic=Mean(0.0181, 0.002, 4000)) == [True]
    assert outcome(0.03, ic=Mean(0.0179, 0.002, 4000)) == [False]
    assert outcome(0.03, ic=Mean(-0.03, 0.002, 4000)) == [False]


@pytest.mark.parametrize(("value", "code"), [(0.001, 0), (0.02, 1)])
def test_exit_code_and_marks(
    value: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = SeedFigures(100, Mean(value, 0.002, 700), NOTHING, ALPHA, 0.6, 4.0, 0.009)
    monkeypatch.setattr(command, "delayed", lambda _: lambda *_: figures)
    monkeypatch.setattr(command, "Parallel", lambda **_: lambda jobs: iter(jobs))
    monkeypatch.setattr(command.console, "file", None)
    assert command.run_null_market(0.0, 100, 2, 156) == code
    shown = capsys.readouterr().out
    assert "SIMULATED MARKETS" in shown
    assert "-0.90% a year is cash" in shown
    assert "only 2 of at least 5 seeds" in shown
    assert ("FAIL" in shown) == bool(code)


@pytest.mark.long
def test_the_command_end_to_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command.console, "file", None)
    assert command.run_null_market(0.0, 100, 1, 8) == 1  # eight weeks have no power: the error is above its band
    shown = capsys.readouterr().out
    assert "SIMULATED MARKETS" in shown
    assert "nan" not in shown
    assert "at most 0.005" in shown
