"""The daily report: equal bytes, figures found in its text, and nothing that overflows, on easy and hard days."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from make_run import make_run, make_tables

from quant50.errors import DataError
from quant50.groups import GROUPS
from quant50.parameters import Parameters
from reports.daily_figures import Day, Order, group_cap
from reports.daily_pdf import write_daily
from reports.run_folder import Run, read_run, write_run

HARD = {"sessions": 400, "holdings": 50, "last_orders": 120, "long_names": True}


def text_of(path: Path, *options: str) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext: apt-get install poppler-utils")
    return subprocess.run(["pdftotext", *options, str(path), "-"], check=True, capture_output=True, text=True).stdout


def words_of(path: Path) -> list[tuple[int, float, float, float, float, str]]:
    """Page, box (x0, y0, x1, y1 in points from the top left) and text of every word."""
    words, page = [], 0
    for line in text_of(path, "-bbox").splitlines():
        page += "<page " in line
        if found := re.search(r'xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*)</word>', line):
            words.append((page, *map(float, found.groups()[:4]), found.group(5)))
    return words


def overlaps(path: Path) -> list[str]:
    """Words that share more than half a line's height and 0.8 points of width with another word of their page."""
    found, words = [], words_of(path)
    for page in {word[0] for word in words}:
        here = [word for word in words if word[0] == page]
        x0, y0, x1, y1 = np.array([word[1:5] for word in here]).T
        height = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
        width = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
        same_line = height > 0.5 * np.minimum((y1 - y0)[:, None], y1 - y0)
        clash = same_line & (width > 0.8) & ~np.eye(len(here), dtype=bool)
        found += [here[i][5] for i in np.flatnonzero(clash.any(axis=1))]
    return found


def render(folder: Path, **options) -> tuple[Run, Path]:
    run = read_run(make_run(folder / "run", **options))
    return run, write_daily(run, folder / "out")


def test_two_renders_are_equal_bytes_and_take_under_three_seconds(tmp_path):
    run, first = render(tmp_path, **HARD)
    start = time.perf_counter()
    second = write_daily(run, tmp_path / "again")
    assert time.perf_counter() - start < 3.0
    assert first.name == second.name == f"diario_{str(run.last_date).replace('-', '')}.pdf"
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in (tmp_path / "again").iterdir()] == [second.name]


def test_the_page_holds_the_figures(tmp_path):
    run, path = render(tmp_path)
    text, equity = text_of(path, "-layout"), run.equity
    last, before = equity.iloc[-1], equity.iloc[-2]
    profit = last["equity"] - before["equity"]
    for expected in (
        "SIMULATED MARKET",
        "Tuesday, 31 December 2019",
        f"{'−' if profit < 0 else '+'}${abs(profit):,.0f}",
        f"{100 * (last['equity'] / 1e6 - 1):+.2f}%".replace("-", "−"),
        f"{100 * (last['benchmark'] / before['benchmark'] - 1):+.2f}%".replace("-", "−"),
        f"${last['equity']:,.0f}",
        "Rung 1 of 4, full problem",
        "solver: optimal",
        "predicted volatility 9.4%, exposure limit 100%",
        "lightgbm, in force since 2019-12-26",
        "5 days old",
        "stop-loss (2): GLD, SPY",
        "9 orders: bought",
        "1 decided at this close for the next open",
        "data 9f9f9f9f9f9f9f9f",
        "code 0123456789ab",
        "Page 1 of 3",
        "simulated market, seed 7",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(
    "options", [{}, HARD, {"sessions": 1, "last_orders": 0}, {"sessions": 2}, {"sessions": 30, "last_orders": 0}]
)
def test_no_word_leaves_its_page_or_lies_on_another(tmp_path, options):
    _, path = render(tmp_path, **options)
    words = words_of(path)
    assert len(words) > 100
    assert all(x0 >= 39 and x1 <= 573.5 and y0 >= 0 and y1 <= 782 for _, x0, y0, x1, y1, _ in words)
    assert overlaps(path) == []


def test_120_orders_are_all_there_and_counted(tmp_path):
    run, path = render(tmp_path, **HARD)
    text = text_of(path, "-layout")
    assert "120 orders: bought" in text
    assert "and 113 more, worth" in text
    assert "from page 3" in text
    assert "All orders executed, 1 to 60 of 120" in text
    assert "All orders executed, 61 to 120 of 120" in text
    assert "and 35 more" in text
    assert "Page 4 of 4" in text
    pages = text.split("\f")
    assert sum(len(re.findall(r"(?m)^ *\S+ +(?:Buy|Sell) ", page)) for page in pages[2:]) == 120
    values = [order.value for order in Day(run).orders]
    assert values == sorted(values, reverse=True)


def test_amounts_of_fifteen_digits_are_printed_whole(tmp_path):
    tables = make_tables(sessions=40)
    tables["equity"][["equity", "cash", "benchmark"]] *= 1e8
    tables["manifest"]["initial_cash"] *= 1e8
    tables["orders"][["quantity", "filled"]] *= 10**7
    write_run(tmp_path / "run", **tables)
    run = read_run(tmp_path / "run")
    path = write_daily(run, tmp_path)
    text = text_of(path)
    assert f"${run.equity['equity'].iloc[-1]:,.0f}" in text
    assert f"${abs(Day(run).profit('start')):,.0f}" in text
    assert f"${Day(run).orders[0].value:,.0f}" in text
    assert overlaps(path) == []


def test_fonts_are_embedded(tmp_path):
    _, path = render(tmp_path)
    assert path.read_bytes().count(b"/FontFile2") == 2
    assert path.read_bytes().count(b"/Type /Font ") <= 3  # the third is reportlab's own default, not used


def test_days_without_orders_or_history_say_so(tmp_path):
    _, empty = render(tmp_path / "empty", sessions=30, last_orders=0)
    assert "No order was executed in this session." in text_of(empty)
    _, first = render(tmp_path / "first", sessions=1, last_orders=0)
    assert "The chart begins with the second session." in text_of(first)


def test_a_day_without_holdings_or_decision(tmp_path):
    tables = make_tables(sessions=5)
    for name in ("holdings", "decisions", "rules"):
        tables[name] = tables[name].iloc[:0]
    tables["manifest"]["market"] = {"simulated": False, "description": "Parquet folder", "data_hash": "ab"}
    del tables["manifest"]["names"]
    write_run(tmp_path / "run", **tables)
    text = text_of(write_daily(read_run(tmp_path / "run"), tmp_path))
    for expected in ("Nothing was held at this close.", "No decision at this close.", "Parquet folder"):
        assert expected in text
    assert "SIMULATED" not in text


def test_the_report_of_an_earlier_day_knows_nothing_later(tmp_path):
    run = read_run(make_run(tmp_path / "run", sessions=60))
    early = write_daily(run, tmp_path, run.dates[40])
    changed = make_tables(sessions=60)
    later = changed["equity"]["date"] > pd.Timestamp(str(run.dates[40]))
    changed["equity"].loc[later, ["equity", "benchmark"]] *= 3.0
    changed["orders"].loc[changed["orders"]["fill_date"] > pd.Timestamp(str(run.dates[40])), "fill_price"] *= 2.0
    write_run(tmp_path / "run", **changed)
    again = write_daily(read_run(tmp_path / "run"), tmp_path / "again", run.dates[40])
    assert early.read_bytes() == again.read_bytes()
    with pytest.raises(DataError, match="is no session"):
        write_daily(run, tmp_path, np.datetime64("2001-01-01"))


def test_year_to_date_starts_from_the_last_close_of_last_year(tmp_path):
    run = read_run(make_run(tmp_path / "run", sessions=300))
    equity = run.equity.set_index("date")["equity"]
    base = equity[equity.index < "2020-01-01"].iloc[-1]
    figures = Day(run)
    assert figures.profit("year") == pytest.approx(equity.iloc[-1] - base)
    assert figures.gain("year").own == pytest.approx(equity.iloc[-1] / base - 1)
    assert figures.profit("start") == pytest.approx(equity.iloc[-1] - 1e6)
    first = Day(run.until(run.dates[0]))
    assert first.profit("day") == first.profit("year") == first.profit("start") == 0.0


def test_volatility_uses_the_last_63_returns(tmp_path):
    run = read_run(make_run(tmp_path / "run", sessions=200))
    returns = run.equity["equity"].pct_change().to_numpy()[-63:]
    assert Day(run).volatility.own == pytest.approx(np.std(returns, ddof=1) * np.sqrt(252), rel=1e-10)


def test_orders_against_the_decision_price():
    assert Order("A", -100, -100, 50.0, 49.0, 1.0, "").move == pytest.approx(200.0)
    assert Order("A", 100, 60, 50.0, 50.5, 1.0, "").move == pytest.approx(100.0)
    assert Order("A", 100, 60, 50.0, 50.5, 1.0, "").value == pytest.approx(3030.0)


def test_groups_add_up_and_every_group_has_its_cap(tmp_path):
    run = read_run(make_run(tmp_path / "run"))
    bars = Day(run).groups()
    assert sum(bar.weight for bar in bars) == pytest.approx(1.0, abs=1e-9)
    caps = {name: group_cap(name, Parameters()) for name in GROUPS}
    assert None not in caps.values()
    assert (caps["Energy"], caps["Unknown"], caps["bonds"], caps["gold"]) == (0.25, 0.05, 0.30, 0.10)
    assert group_cap("crypto", Parameters()) is None


def test_an_order_not_filled_is_counted_on_its_day_only(tmp_path):
    tables = make_tables(sessions=10)
    target = tables["orders"]["decision_date"] == tables["equity"]["date"].iloc[-2]
    row = tables["orders"].index[target][:2]
    tables["orders"].loc[row, "fill_date"] = pd.NaT
    tables["orders"].loc[row, ["filled", "status"]] = [0, "canceled"]
    write_run(tmp_path / "run", **tables)
    run = read_run(tmp_path / "run")
    assert Day(run).unfilled == 2
    assert Day(run).leaving == 1
    assert len(Day(run).orders) == 7
    assert "2 sent for this open not filled." in text_of(write_daily(run, tmp_path))


def test_lines_that_end_together_keep_their_names_apart(tmp_path):
    tables = make_tables(sessions=30)
    tables["equity"]["equity"] = tables["equity"]["benchmark"]
    write_run(tmp_path / "run", **tables)
    assert overlaps(write_daily(read_run(tmp_path / "run"), tmp_path)) == []


def test_many_rules_are_counted_and_the_busiest_named_first(tmp_path):
    tables = make_tables(sessions=10)
    acted = ["stop-loss"] * 24 + ["forced exit"] * 3 + ["cool-off"] * 2 + ["drawdown guard"]
    tickers = [f"T{i:03d}" for i in range(29)] + [""]
    date = tables["equity"]["date"].iloc[-1]
    tables["rules"] = pd.DataFrame({"date": [date] * 30, "ticker": tickers, "rule": acted, "detail": ""})
    write_run(tmp_path / "run", **tables)
    path = write_daily(read_run(tmp_path / "run"), tmp_path)
    text = text_of(path)
    assert "stop-loss (24): T000, T001" in text
    assert "forced exit (3): T024, T025, T026" in text
    assert "also cool-off (2), drawdown guard (1)" in text
    assert overlaps(path) == []


@pytest.mark.parametrize("rung", [2, 9])
def test_a_lower_rung_is_named(tmp_path, rung):
    tables = make_tables(sessions=10)
    tables["decisions"]["rung"] = rung
    tables["decisions"]["solve_error"] = "solver stopped after 1 iteration"
    write_run(tmp_path / "run", **tables)
    text = text_of(write_daily(read_run(tmp_path / "run"), tmp_path))
    assert f"Rung {rung} of 4, {'turnover limit raised' if rung == 2 else 'unknown'}" in text
    assert "solver stopped after 1 iteration" in text
