"""The panel against what the source's own tables say, cell by cell."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant50.errors import DataError
from quant50.groups import UNKNOWN_SECTOR, sector_code
from quant50.parameters import Parameters
from tests.training.small_store import frames, written
from training.commands.ingest import run_ingest
from training.panel import Market, load_panel

FEW = Parameters(candidates=8, keep_rank=11)
DELISTED, LATE, HOLE, LEAVER = "S03", "S04", "S05", "S06"
LAST_DAY = pd.Timestamp("2015-07-31")  # of DELISTED; a holdings file has this date


def tables() -> dict[str, pd.DataFrame]:
    """The small market with a delisting, a listing, a hole, a change of index and of sector, and awkward actions."""
    made = frames()
    bars, assets, holdings = made["bars"], made["assets"], made["index_holdings"]
    days = pd.DatetimeIndex(sorted(bars["date"].unique()))
    gone = (bars["ticker"] == DELISTED) & (bars["date"] > LAST_DAY)
    early = (bars["ticker"] == LATE) & (bars["date"] < days[60])
    hole = (bars["ticker"] == HOLE) & bars["date"].isin(days[[80, 81, 251]])
    made["bars"] = bars[~(gone | early | hole)].reset_index(drop=True)
    assets.loc[assets["ticker"] == DELISTED, "last_date"] = LAST_DAY
    holdings.loc[holdings["ticker"] == DELISTED, "weight"] = 0.5  # a member when it goes
    left = (holdings["ticker"] == LEAVER) & (holdings["date"] > "2015-06-30")
    holdings.loc[(holdings["ticker"] == "S07") & (holdings["date"] > "2015-03-31"), "sector"] = (
        "Telecommunication Services"
    )
    holdings.loc[(holdings["ticker"] == "S08") & (holdings["date"] > "2015-03-31"), "sector"] = None
    unknown = holdings.iloc[[0]].assign(ticker=None, symbol="OUT", weight=0.5)
    made["index_holdings"] = pd.concat([holdings[~left], unknown], ignore_index=True)
    actions = [
        ("S10", days[40], "split", 2.0, None), ("S10", days[40], "dividend", 0.3, None),
        ("S10", days[40], "spinoff", 0.5, None),
        ("S11", pd.Timestamp("2015-02-07"), "split", 2.0, None),  # a Saturday: moves to Monday 2015-02-09 …
        ("S11", pd.Timestamp("2015-02-07"), "dividend", 0.3, None),
        ("S11", pd.Timestamp("2015-02-09"), "split", 3.0, None),
        ("S11", pd.Timestamp("2015-02-09"), "dividend", 0.1, None),
        (HOLE, days[80], "dividend", 0.7, None),
    ]  # fmt: skip
    plain = made["actions"][~made["actions"]["ticker"].isin(["S10", "S11", HOLE])]
    made["actions"] = pd.concat([plain, pd.DataFrame(actions, columns=plain.columns)], ignore_index=True)
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("panel")
    run_ingest(written(folder / "source", tables()), folder / "market.duckdb", False)
    return folder / "market.duckdb"


@pytest.fixture(scope="module")
def market(store: Path) -> Market:
    return load_panel(store, None, None, FEW)


def test_bars_are_the_source_s(market: Market) -> None:
    panel = market.panel
    bars = tables()["bars"]
    assert panel.tickers == tuple(sorted(bars["ticker"].unique()))
    assert np.array_equal(panel.dates, np.unique(bars["date"].to_numpy().astype("datetime64[D]")))
    for name in ("open", "high", "low", "close", "volume"):
        expected = bars.pivot(index="date", columns="ticker", values=name).to_numpy(dtype=float)
        np.testing.assert_array_equal(getattr(panel, name), expected)
    assert [t for t, etf in zip(panel.tickers, panel.is_etf, strict=True) if etf] == ["SPY", "XLE"]
    assert market.names[panel.column("S01")] == "S01 Inc"
    assert not market.simulated


def test_actions_are_per_old_share(market: Market) -> None:
    panel = market.panel
    column = panel.column("S10")
    assert panel.split[40, column] == 2.0
    assert panel.dividend[40, column] == pytest.approx(2.0 * (0.3 + 0.5), rel=1e-15)
    monday, column = int(np.searchsorted(panel.dates, np.datetime64("2015-02-09"))), panel.column("S11")
    assert panel.split[monday, column] == 6.0
    assert panel.dividend[monday, column] == pytest.approx(2 * 0.3 + 6 * 0.1, rel=1e-15)
    assert (panel.split[:, column] != 1).sum() == (panel.dividend[:, column] != 0).sum() == 1
    assert panel.dividend[80, panel.column(HOLE)] == 0.7
    assert (market.coverage.actions.moved, market.coverage.actions.without_bar) == (1, 1)
    plain = tables()["actions"].query("ticker not in ['S10', 'S11', @HOLE, @DELISTED] and kind == 'dividend'")
    for action in plain.itertuples():
        row = np.searchsorted(panel.dates, np.datetime64(action.date, "D"))
        assert panel.dividend[row, panel.column(action.ticker)] == action.value


def test_members_by_a_walk_through_the_sessions(market: Market) -> None:
    """An independent reading of the rule: for each session the last file before it, ranks by sorting tuples."""
    panel, made = market.panel, tables()
    lines = made["index_holdings"].dropna(subset=["ticker"])
    lifetime = made["bars"].groupby("ticker")["date"].agg(["min", "max"])
    previous: set[str] = set()
    file_before = None
    for t, session in enumerate(pd.DatetimeIndex(panel.dates)):
        file = lines.loc[lines["date"] < session, "date"].max()
        named = lines[lines["date"] == file]
        if file != file_before:
            alive = [lifetime.loc[x, "min"] <= session and lifetime.loc[x, "max"] >= file for x in named["ticker"]]
            ranked = sorted(zip(-named["weight"][alive], named["ticker"][alive], strict=True))
            order = [ticker for _, ticker in ranked]
            previous = set(order[:8]) | (previous & set(order[:11]))
            file_before = file
        expected = {x for x in previous if session <= lifetime.loc[x, "max"] or x == HOLE}
        assert {x for x, is_in in zip(panel.tickers, panel.member[t], strict=True) if is_in} == expected, session
        assert {x for x, is_in in zip(panel.tickers, panel.constituent[t], strict=True) if is_in} == set(
            named["ticker"]
        )


def test_a_panel_of_a_part_is_a_part_of_the_panel(store: Path, market: Market) -> None:
    part = load_panel(store, date(2015, 4, 8), date(2015, 9, 30), FEW)
    rows = np.flatnonzero((market.panel.dates >= part.panel.dates[0]) & (market.panel.dates <= part.panel.dates[-1]))
    columns = np.array([market.panel.column(ticker) for ticker in part.panel.tickers])
    assert part.panel.dates[0] == np.datetime64("2015-04-08")  # a Wednesday: the week's sector map is Monday's
    whole = market.panel.rows(rows[0], rows[-1] + 1).columns(columns)
    for name in ("open", "close", "volume", "split", "dividend", "member", "constituent", "sector"):
        np.testing.assert_array_equal(getattr(part.panel, name), getattr(whole, name), err_msg=name)
    np.testing.assert_array_equal(part.rates, market.rates[rows])
    np.testing.assert_array_equal(part.vix_close, market.vix_close[rows])
    assert part.data_hash != market.data_hash == load_panel(store, None, None, FEW).data_hash


def test_actions_at_the_edges_of_a_part(store: Path, market: Market) -> None:
    day, after = (market.panel.dates[k].astype(date) for k in (40, 41))
    for start, end, expected in ((day, None, 2.0), (None, day, 2.0), (after, None, 1.0)):
        panel = load_panel(store, start, end, FEW).panel
        assert panel.split[:, panel.column("S10")].max() == expected


def test_delisting_is_not_a_missing_last_bar(store: Path, market: Market) -> None:
    panel = market.panel
    delisted = {t: int(row) for t, row in zip(panel.tickers, market.last_session, strict=True) if row >= 0}
    last = int(np.searchsorted(panel.dates, np.datetime64(LAST_DAY, "D")))
    assert delisted == {DELISTED: last}
    assert panel.member[last, panel.column(DELISTED)]
    assert not panel.member[last + 1 :, panel.column(DELISTED)].any()
    before = load_panel(store, None, panel.dates[last - 1].astype(date), FEW)
    assert (before.last_session == -1).all()


def test_sectors_follow_the_last_file_before_the_week(market: Market) -> None:
    panel = market.panel
    april = int(np.searchsorted(panel.dates, np.datetime64("2015-05-01")))  # Friday; file of Thursday 2015-04-30
    column = panel.column("S07")
    assert panel.sector[april, column] == sector_code("Energy")
    assert (panel.sector[april + 1 :, column] == sector_code("Communication Services")).all()
    assert (panel.sector[:, panel.column("S08")] == sector_code("Utilities")).all()  # a missing label keeps the last
    assert (panel.sector[-1, panel.column(LEAVER)]) == sector_code("Utilities")  # so does leaving the index
    assert (panel.sector[:, panel.column("XLE")] == sector_code("Energy")).all()
    assert (panel.sector[:, panel.column("SPY")] == UNKNOWN_SECTOR).all()


def test_rates_are_the_day_before_s_and_vix_the_session_s(market: Market) -> None:
    other = pd.bdate_range("2014-12-15", "2015-12-31")
    for t, session in enumerate(pd.DatetimeIndex(market.panel.dates)):
        assert market.rates[t] == (other.get_loc(session) - 1) / 100
        assert market.vix_close[t] == other.get_loc(session) + 10.0


def test_coverage_counts_what_lacks_bars(market: Market) -> None:
    files = market.coverage.files
    assert len(files) == 12
    assert (files[0].lines, files[0].lines_with_bars) == (25, 23)  # OUT has no ticker, LATE has not begun
    assert [f.lines - f.lines_with_bars for f in files[6:9]] == [0, 0, 1]  # DELISTED trades on the day of the July file
    first = tables()["index_holdings"].query("date < '2015-01-01'")
    assert files[0].weight == pytest.approx(first["weight"].sum())
    with_bars = first[first["ticker"].notna() & (first["ticker"] != LATE)]["weight"].sum()
    assert files[0].weight_with_bars == pytest.approx(with_bars)
    assert market.coverage.constituents_without_bars == ()
    assert market.coverage.bars_off_calendar == 0


def test_empty_ranges_get_one_clear_sentence(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="range 2015-02-01 to 2015-01-01 is empty"):
        load_panel(store, date(2015, 2, 1), date(2015, 1, 1), FEW)
    with pytest.raises(DataError, match=r"no session from 2019-01-01 .* the store holds 2015-01-02"):
        load_panel(store, date(2019, 1, 1), None, FEW)
    with pytest.raises(DataError, match="no market store"):
        load_panel(tmp_path / "none.duckdb", None, None, FEW)
    made = frames(stocks=2)
    made["bars"] = made["bars"][made["bars"]["ticker"] != "SPY"]
    run_ingest(written(tmp_path / "source", made), tmp_path / "market.duckdb", False)
    with pytest.raises(DataError, match="SPY has no bars"):
        load_panel(tmp_path / "market.duckdb", None, None, FEW)
