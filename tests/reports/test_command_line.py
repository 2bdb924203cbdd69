"""The command line: help that teaches, files where they were asked for, one sentence for wrong input."""

from __future__ import annotations

import json
import math

import pytest
from make_run import make_run

from reports.__main__ import app, main
from reports.metrics import summary
from reports.run_folder import read_run


def call(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["reports", *arguments])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_daily_writes_where_it_says(tmp_path, monkeypatch, capsys):
    folder = make_run(tmp_path / "run", sessions=20)
    arguments = ("daily", str(folder), "--date", "2019-01-15", "--out", str(tmp_path / "new" / "out"))
    assert call(monkeypatch, *arguments) == 0
    path = tmp_path / "new" / "out" / "diario_20190115.pdf"
    assert path.read_bytes().startswith(b"%PDF")
    assert str(path) in capsys.readouterr().out.replace("\n", "")


def test_metrics_as_json_and_as_a_table(tmp_path, monkeypatch, capsys):
    folder = make_run(tmp_path / "run", sessions=20)
    assert call(monkeypatch, "metrics", str(folder), "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    expected = summary(read_run(folder))
    assert printed == {name: value if math.isfinite(value) else None for name, value in expected.items()}
    assert call(monkeypatch, "metrics", str(folder)) == 0
    table = capsys.readouterr().out
    assert "deflated sharpe" in table
    assert "simulated market" in table


@pytest.mark.parametrize("command", ["daily", "metrics"])
def test_wrong_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, command):
    assert call(monkeypatch, command, str(tmp_path / "none")) == 2
    shown = capsys.readouterr()
    assert shown.err == f"reports: there is no run folder {tmp_path / 'none'}\n"
    assert shown.out == ""


def test_a_date_off_the_calendar(tmp_path, monkeypatch, capsys):
    folder = make_run(tmp_path / "run", sessions=20)
    assert call(monkeypatch, "daily", str(folder), "--date", "2019-01-12", "--out", str(tmp_path)) == 2
    assert "2019-01-12 is no session of run run" in capsys.readouterr().err
    assert call(monkeypatch, "daily", str(folder), "--date", "January") == 2


def test_an_output_path_that_is_a_file(tmp_path, monkeypatch, capsys):
    folder = make_run(tmp_path / "run", sessions=20)
    (tmp_path / "file").write_text("")
    assert call(monkeypatch, "daily", str(folder), "--out", str(tmp_path / "file")) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_teaches(monkeypatch, capsys):
    assert app.info.no_args_is_help
    assert call(monkeypatch, "daily", "--help") == 0
    assert "Example: python -m reports daily runs/demo" in capsys.readouterr().out
