"""The command `facts`: its exit code and its table."""

from __future__ import annotations

import pytest

from training.commands import facts as command
from training.stylised_bands import BANDS


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr(command.console, "file", None)
    code = command.run_facts(0, 1)
    return code, capsys.readouterr().out


def test_a_calibrated_market_passes_every_fact(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = shown(monkeypatch, capsys)
    assert code == 0
    assert "SIMULATED MARKET" in text
    assert all(fact in text for fact in BANDS)
    assert f"0 of {len(BANDS)} facts" in text


def test_one_fact_outside_its_band_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "BANDS", {**BANDS, "kurtosis": (100.0, 200.0)})
    code, text = shown(monkeypatch, capsys)
    assert code == 1
    assert text.count("FAIL") == 1
    assert f"1 of {len(BANDS)} facts" in text
