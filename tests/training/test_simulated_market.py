"""The simulated market: consistent records, the planted signal, the null market, the stylised facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from quant50.errors import ParameterError
from quant50.groups import ETF_GROUPS, SECTORS
from training.sources.records import COLUMNS
from training.sources.simulated import MarketParameters, SimulatedSource
from training.sources.simulated.corporate import companies, index_members, trade
from training.sources.simulated.market import SimulatedMarket, sessions_of, simulate
from training.sources.simulated.parameters import BURN_IN
from training.sources.simulated.returns import LABEL_SESSIONS, levels
from training.sources.simulated.volatility import DELAY, Shocks, shocks
from training.stylised_bands import BANDS
from training.stylised_facts import facts, table

SMALL = MarketParameters(seed=3, years=3, stocks=60, end=date(2014, 12, 31), hole_rate=0.002)


@pytest.fixture(scope="module")
def small() -> SimulatedMarket:
    return simulate(SMALL)


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    collected: dict[str, list[pd.DataFrame]] = {}
    for batch in SimulatedSource(SMALL).batches():
        collected.setdefault(batch.table, []).append(batch.frame)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in collected.items()}


def rank_ic(score: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Rank correlation of each session, over the stocks with both."""
    found = []
    for s, y in zip(score, label, strict=True):
        ok = np.isfinite(s) & np.isfinite(y)
        if ok.sum() > 20:
            found.append(np.corrcoef(rankdata(s[ok]), rankdata(y[ok]))[0, 1])
    return np.array(found)


# --- the records


def test_every_table_and_etf_is_there(frames: dict[str, pd.DataFrame]) -> None:
    assert set(frames) == set(COLUMNS)
    assert set(frames["assets"].query("type == 'etf'").ticker) == set(ETF_GROUPS)
    assert set(frames["index_holdings"].sector) == set(SECTORS)
    holdings = frames["index_holdings"].groupby("date")
    assert holdings.weight.sum().to_numpy() == pytest.approx(1.0)
    assert holdings.size().between(50, round(SMALL.index_share * SMALL.stocks)).all()
    assert holdings.ticker.agg(frozenset).nunique() > 1, "the index never changes"
    assert holdings.size().index.min() < frames["bars"].date.min()


def test_erroneous_rows_are_all_that_is_wrong(frames: dict[str, pd.DataFrame]) -> None:
    source = SimulatedSource(SMALL)
    bars, actions, assets = frames["bars"], frames["actions"], frames["assets"].set_index("ticker")
    future = bars.date > pd.Timestamp(source.as_of)
    negative = (bars[["open", "high", "low", "close"]] <= 0).any(axis=1)
    crossed = ~negative & (bars.high < bars.low)
    outside = ~negative & ~crossed & ((bars.close > bars.high) | (bars.open < bars.low) | (bars.open > bars.high))
    listing = assets.loc[actions.ticker]
    early = (actions.date.to_numpy() < listing.first_date.to_numpy()) | (
        actions.date.to_numpy() > listing.last_date.to_numpy()
    )
    assert source.errors == {
        "future date": future.sum(),
        "non-positive price": negative.sum(),
        "high below low": crossed.sum(),
        "close outside the range": outside.sum(),
        "duplicate": bars.duplicated(["ticker", "date"]).sum(),
        "split ratio not positive": ((actions.kind == "split") & (actions.value <= 0)).sum(),
        "ex-date outside the listing": early.sum(),
    }
    assert sum(source.errors.values()) == 17
    clean = pd.concat(
        batch.frame for batch in SimulatedSource(SMALL, erroneous=False).batches() if batch.table == "bars"
    )
    assert not clean.duplicated(["ticker", "date"]).any()
    assert (clean.low > 0).all()
    assert (clean.high >= clean[["open", "close", "low"]].max(axis=1)).all()
    assert (clean.low <= clean[["open", "close"]].min(axis=1)).all()
    assert (clean[["open", "high", "low", "close"]].round(2) == clean[["open", "high", "low", "close"]]).all().all()


def test_lives_of_companies(small: SimulatedMarket, frames: dict[str, pd.DataFrame]) -> None:
    stocks = frames["assets"].query("type == 'stock'")
    gone = stocks[stocks.delisting_note.notna()]
    assert len(gone) == round(SMALL.delisted_share * SMALL.stocks)
    assert (gone.last_date < pd.Timestamp(small.dates[-1])).all()
    assert (stocks.first_date > pd.Timestamp(small.dates[1])).sum() == round(SMALL.late_share * SMALL.stocks)
    assert len(frames["renames"]) == round(SMALL.renamed_share * SMALL.stocks)
    for _, rename in frames["renames"].iterrows():
        held = frames["index_holdings"].query("ticker == @rename.ticker")
        assert (held[held.date < rename.date].symbol == rename.old_symbol).all()
        assert (held[held.date >= rename.date].symbol == rename.new_symbol).all()
    bars = frames["bars"]
    sessions = np.isin(bars.date.to_numpy().astype("datetime64[D]"), small.dates)
    assert (~sessions).sum() <= 1, "only the future row may lie off the calendar"
    inside = np.isfinite(small.close[:, : small.stocks])
    listed = sum(int(b - max(a, 1) + 1) for a, b in zip(small.company.first, small.company.last, strict=True))
    assert 0 < listed - inside.sum() < 5 * SMALL.hole_rate * listed


def test_same_seed_same_records_other_seed_others() -> None:
    tiny = replace(SMALL, years=1, stocks=30)
    once, again = SimulatedSource(tiny), SimulatedSource(replace(tiny))
    first = [batch.frame for batch in once.batches()]
    simulate.cache_clear()
    for one, two in zip(first, [batch.frame for batch in again.batches()], strict=True):
        pd.testing.assert_frame_equal(one, two)
    assert once.fingerprint() == again.fingerprint() != SimulatedSource(replace(tiny, seed=4)).fingerprint()
    assert not np.array_equal(simulate(tiny).close, simulate(replace(tiny, seed=4)).close, equal_nan=True)
    assert once.description == "simulated market (seed 3, signal 0.03)"
    assert once.simulated


def test_traded_returns_are_those_of_the_indices(small: SimulatedMarket) -> None:
    """Splits and dividends leave no trace in total returns, up to the rounding to cents."""
    close, split = small.close[:, : small.stocks], small.split[:, : small.stocks]
    dividend = split * small.dividend[:, : small.stocks]
    true = small.levels.close[2:] / small.levels.close[1:-1] - 1.0
    error = np.abs(close[2:] * split[2:] / (close[1:-1] - dividend[2:]) - 1.0 - true) * close[1:-1]
    assert np.nanmax(error) < 0.06
    assert np.nanmedian(error) < 0.006
    assert (small.split != 1).any()
    assert (small.dividend > 0).any()


def test_a_dividend_on_a_split_day_is_per_new_share() -> None:
    level = np.ones((400, 1))
    one = np.ones(1)
    raw = trade(level, level, 4.0 * one, 0.04 * one, np.array([4]), 80.0 * one, np.random.default_rng(5))
    for t in np.flatnonzero((raw.split[:, 0] != 1) | (raw.dividend[:, 0] > 0)):
        total = raw.close[t] * raw.split[t] / (raw.close[t - 1] - raw.dividend[t] * raw.split[t])
        assert total == pytest.approx(1.0)
    assert (raw.split < 1).sum() == 1


def test_spy_is_its_members(small: SimulatedMarket) -> None:
    spy = small.tickers.index("SPY")
    k = 20
    start, stop = small.reviews[k], small.reviews[k + 1]
    growth = small.levels.close[stop] / small.levels.close[start]
    held = float(small.weights[k] @ growth)
    ratio = small.close[start + 1 : stop + 1, spy] / (
        small.close[start:stop, spy] - small.dividend[start + 1 : stop + 1, spy]
    )
    assert float(np.prod(ratio)) == pytest.approx(held, abs=5e-4)


def test_index_members_leave_beyond_the_margin_only() -> None:
    capitalisation = np.array([[4.0, 3, 2, 1], [4.0, 2.9, 3.0, 1], [4.0, 0.5, 3.0, 1]])
    found = index_members(capitalisation, np.ones((3, 4), bool), 2)
    assert found.tolist() == [[True, True, False, False], [True, False, True, False], [True, False, True, False]]


def test_calendar_and_bad_parameters() -> None:
    days = sessions_of(MarketParameters())
    assert (str(days[0]), str(days[1]), str(days[-1]), len(days)) == ("2009-12-31", "2010-01-04", "2021-12-31", 3022)
    for wrong in ({"signal": -0.1}, {"signal": 0.5}, {"stocks": 5}, {"years": 0}, {"intraday_freedom": 2.0}):
        with pytest.raises(ParameterError):
            MarketParameters(**wrong)  # type: ignore[arg-type]


# --- the null market and the signal


def mirrored(shock: Shocks, start: int) -> Shocks:
    """The same shocks with the signs of the label's span turned: after the open of `start` to the open of start + 5."""
    overnight, intraday = shock.overnight.copy(), shock.intraday.copy()
    intraday[start : start + LABEL_SESSIONS] *= -1.0
    overnight[start + 1 : start + LABEL_SESSIONS + 1] *= -1.0
    return replace(shock, overnight=overnight, intraday=intraday)


def test_null_labels_are_symmetric_around_one_drift() -> None:
    """Turn every shock of a span: each stock's label is mirrored at the same drift, exactly.

    So all stocks share one conditional mean AND one conditional median whatever their volatility, beta or past, and
    no rule can rank them.
    """
    p = MarketParameters(seed=7, signal=0.0, stocks=60)
    shock = shocks(p, 700, companies(p, 380).sector)
    here = levels(p, shock)
    assert here.cut == 0
    for start in (400, 450, 500, 550, 600):
        there = levels(p, mirrored(shock, start))
        label = [one.open[start + LABEL_SESSIONS] / one.open[start] - 1.0 for one in (here, there)]
        middle = 0.5 * (label[0] + label[1])
        assert middle == pytest.approx((1.0 + p.drift) ** (LABEL_SESSIONS / 252) - 1.0, abs=1e-12)
        assert np.abs(label[0] - middle).min() > 0


def test_signs_move_volatility_only_after_the_span() -> None:
    """The market's shock at t leaves every later scale alone for DELAY sessions, then lowers or raises it."""
    p = MarketParameters(seed=1, stocks=30)
    sector = companies(p, 380).sector
    with_leverage, without = shocks(p, 500, sector), shocks(replace(p, leverage=0.0), 500, sector)
    log_ratio = np.log(with_leverage.market_volatility / without.market_volatility)
    standard = without.market_shock.sum(axis=1) / without.market_volatility
    assert (log_ratio[:DELAY] == 0.0).all()
    change = log_ratio[DELAY:] - 0.5 ** (1.0 / p.leverage_half_life) * log_ratio[DELAY - 1 : -1]
    assert np.corrcoef(change, standard[:-DELAY])[0, 1] < -0.9


def test_signal_has_the_promised_rank_ic() -> None:
    """On the same shocks the signal adds its rank IC; the null market's own is noise around 0."""
    added, null = [], []
    for seed in range(6):
        p = MarketParameters(seed=seed)
        sector = companies(p, 1260).sector
        sessions = BURN_IN + 1260
        shock = shocks(p, sessions, sector)
        ics = []
        for signal in (0.0, 0.03):
            found = levels(replace(p, signal=signal), shock)
            label = found.open[6:] / found.open[1:-5] - 1.0
            ics.append(rank_ic(found.signal[:-6][252::4], label[252::4]))
        added.append(ics[1].mean() - ics[0].mean())
        null.append((ics[0].mean(), ics[0].std() / np.sqrt(len(ics[0]) * 4 / 5)))
    assert np.mean(added) == pytest.approx(0.03, abs=0.0025)
    mean, error = np.mean([m for m, _ in null]), np.sqrt(np.sum([e**2 for _, e in null])) / 6
    assert abs(mean) < 3 * error


def test_signal_reads_the_past_only(small: SimulatedMarket) -> None:
    p = replace(SMALL, signal=0.03)
    sector = companies(p, 300).sector
    shock = shocks(p, 600, sector)
    changed = replace(shock, intraday=shock.intraday.copy())
    changed.intraday[500:] *= 1.7
    one, two = levels(p, shock), levels(p, changed)
    assert np.array_equal(one.signal[:500], two.signal[:500], equal_nan=True)
    assert not np.array_equal(one.signal[500:], two.signal[500:])
    assert one.signal[300].mean() == pytest.approx(0.0, abs=1e-9)


# --- the facts


def test_stylised_facts_of_the_default_seed() -> None:
    rows = table(facts(simulate(MarketParameters()).sample()), BANDS)
    assert [row.fact for row in rows if not row.passed] == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 5))
def test_stylised_facts_of_other_seeds(seed: int) -> None:
    rows = table(facts(simulate(MarketParameters(seed=seed)).sample()), BANDS)
    assert [row.fact for row in rows if not row.passed] == []


def test_labels_exist_while_listed_only(small: SimulatedMarket) -> None:
    """A delisted stock's flat index would have label 0, below the drift: a false signal for whatever marks it."""
    label = small.labels()
    gone = np.flatnonzero(small.company.last < len(small.dates) - 1)
    assert len(gone) > 0
    for i in gone:
        assert np.isnan(label[small.company.last[i] :, i]).all()
        assert np.isfinite(label[small.company.last[i] - 1, i])
