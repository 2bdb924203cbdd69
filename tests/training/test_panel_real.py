"""The panel of the real market: same-day splits and cash, the whole of it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from quant50.panel import returns
from quant50.parameters import Parameters
from training.commands.ingest import run_ingest
from training.panel import Market, load_panel
from training.sources.parquet_folder import ParquetFolder

SAME_DAY = {
    "DD": "2019-06-03", "MSI": "2011-01-04", "TMUS": "2013-05-01",
    "LDOS": "2013-09-30", "EXPE": "2011-12-21", "HLT": "2017-01-04",
}  # fmt: skip


@pytest.fixture(scope="module")
def six(market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Market, ParquetFolder]:
    """The six tickers of the real data with cash and a split on one day, SPY, and the holdings that name them."""
    folder = tmp_path_factory.mktemp("six")
    tickers = (*SAME_DAY, "SPY")
    for table in ("bars", "actions", "assets", "index_holdings", "rates", "vix", "factors"):
        where = f"WHERE ticker IN {tickers}" if table in ("bars", "actions", "assets", "index_holdings") else ""
        duckdb.execute(f"COPY (FROM '{market_data}/{table}.parquet' {where}) TO '{folder}/{table}.parquet'")
    source = ParquetFolder(folder)
    run_ingest(source, folder / "market.duckdb", False)
    return load_panel(folder / "market.duckdb", None, None, Parameters()), source


@pytest.mark.parametrize(("ticker", "day"), SAME_DAY.items())
def test_same_day_split_and_cash_on_real_data(ticker: str, day: str, six: tuple[Market, ParquetFolder]) -> None:
    market, source = six
    panel = market.panel
    row, column = int(np.searchsorted(panel.dates, np.datetime64(day))), panel.column(ticker)
    closes = duckdb.execute(
        f"SELECT close FROM '{source.folder}/bars.parquet' WHERE ticker = ? AND date <= ? ORDER BY date DESC LIMIT 2",
        [ticker, day],
    ).fetchall()
    value = dict(
        duckdb.execute(
            f"SELECT kind = 'split', sum(value) FROM '{source.folder}/actions.parquet' WHERE ticker = ? AND date = ? "
            "GROUP BY ALL",
            [ticker, day],
        ).fetchall()
    )
    (close,), (previous,) = closes
    split, cash = value[True], value[False]
    total = returns(panel).total[row, column]
    assert total == pytest.approx(close * split / (previous - cash * split) - 1, rel=1e-12)
    economic = split * (close + cash) / previous - 1  # the data's own definition: no jump under either
    assert abs(economic) < 0.15
    assert np.sign(total) == np.sign(economic)
    assert abs(total) < 0.15


@pytest.mark.long
def test_whole_real_market(market_data: Path, tmp_path: Path) -> None:
    store = tmp_path / "market.duckdb"
    summary = run_ingest(ParquetFolder(market_data), store, False)
    assert summary.rejected == {}
    assert summary.rows["bars"] == 2_203_489
    market = load_panel(store, None, None, Parameters())
    assert market.panel.close.shape == (3096, 768)
    stocks = market.panel.member.sum(axis=1)
    assert stocks.min() >= 295
    assert stocks.max() <= 350
    assert market.coverage.actions.moved == market.coverage.actions.without_bar == 0
    assert min(f.weight_with_bars / f.weight for f in market.coverage.files) > 0.985
