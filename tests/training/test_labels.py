"""Labels against spans written out, on a market with holes, a delisting, splits and dividends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant50.errors import DataError
from quant50.panel import Panel
from tests.difficult_market import CLOSE_LAST, HALT, SPLIT, difficult_market
from training.labels import binary_target, labels, rank_target

PANEL, LAST_SESSION = difficult_market()
SESSIONS = len(PANEL.dates)
LABELS = labels(PANEL, LAST_SESSION)


def next_open(panel: Panel, column: int, row: int) -> int | None:
    """First row at or after `row` with a trade."""
    rows = [t for t in range(row, len(panel.dates)) if not math.isnan(panel.open[t, column])]
    return rows[0] if rows else None


def worth(panel: Panel, column: int, entry: int, row: int, price: float) -> float:
    """Growth of a holding bought at the open of `entry`, each dividend put back in at the close before its ex-date."""
    shares, last = 1.0, panel.close[entry, column]
    for t in range(entry + 1, row + 1):
        dividend, split = panel.dividend[t, column], panel.split[t, column]
        shares *= last / (last - dividend) * split
        last = (last - dividend) / split if math.isnan(panel.close[t, column]) else panel.close[t, column]
    return shares * price / panel.open[entry, column]


def label(panel: Panel, column: int, last: int, t: int, horizon: int) -> tuple[float, int, bool, bool]:
    """Excess return, end row, waited, delisted; NaN and T where unknown."""
    unknown = math.nan, len(panel.dates), False, False
    market = panel.column("SPY")
    end = t + 1 + horizon
    if end >= len(panel.dates) or panel.is_etf[column] or np.isnan(panel.close[: t + 1, column]).all():
        return unknown
    entry = next_open(panel, column, t + 1)
    if entry is None:
        return unknown
    if 0 <= last < end:
        growth = worth(panel, column, entry, last, panel.close[last, column])
        over = worth(panel, market, entry, end, panel.open[end, market])
        return growth - over, end, entry > t + 1, True
    exit_ = next_open(panel, column, end)
    if exit_ is None:
        return unknown
    growth = worth(panel, column, entry, exit_, panel.open[exit_, column]) if exit_ > entry else 1.0
    over = worth(panel, market, entry, exit_, panel.open[exit_, market]) if exit_ > entry else 1.0
    return growth - over, exit_, entry > t + 1 or exit_ > end, False


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_every_label_is_its_span_written_out(horizon: int) -> None:
    result = labels(PANEL, LAST_SESSION, horizon)
    holes = delisted = 0
    for column, last in enumerate(LAST_SESSION):
        for t in range(SESSIONS):
            excess, end, waited, gone = label(PANEL, column, int(last), t, horizon)
            np.testing.assert_allclose(result.excess[t, column], excess, rtol=0, atol=1e-12, err_msg=f"{t} {column}")
            assert result.end[t, column] == end, (t, column)
            if PANEL.member[t, column] and not math.isnan(excess):
                holes, delisted = holes + waited, delisted + gone
    assert (result.holes, result.delisted) == (holes, delisted)
    assert holes > 0
    assert delisted == horizon


def test_the_halted_stock_waits_for_its_next_open() -> None:
    column = PANEL.column("HALT")
    before = HALT.start - 3
    assert LABELS.end[before, column] == HALT.stop
    assert LABELS.end[before - 5, column] == before + 1


def test_delisting_ends_at_the_last_close_and_then_cash() -> None:
    column, market = PANEL.column("DELIST"), PANEL.column("SPY")
    t = CLOSE_LAST - 1
    stock = PANEL.close[CLOSE_LAST, column] / PANEL.open[CLOSE_LAST, column]
    spy = PANEL.open[CLOSE_LAST + 5, market] / PANEL.open[CLOSE_LAST, market]
    assert PANEL.dividend[CLOSE_LAST : CLOSE_LAST + 6, market].sum() == 0
    assert LABELS.excess[t, column] == pytest.approx(stock - spy, abs=1e-14)
    assert LABELS.end[t, column] == CLOSE_LAST + 5
    assert np.isnan(LABELS.excess[t + 1, column])


def test_an_unexplained_end_of_bars_is_unknown() -> None:
    alive = labels(PANEL, np.full_like(LAST_SESSION, -1))
    column = PANEL.column("DELIST")
    assert np.isnan(alive.excess[CLOSE_LAST - 5 :, column]).all()
    assert alive.delisted == 0


def test_the_last_rows_are_unknown() -> None:
    assert np.isnan(LABELS.excess[-6:]).all()
    assert (LABELS.end[-6:] == SESSIONS).all()
    assert np.isfinite(LABELS.excess[-7, PANEL.column("PLAIN")])


@settings(max_examples=20)
@given(row=st.integers(0, SESSIONS - 8), column=st.integers(0, len(PANEL.tickers) - 1))
def test_a_label_uses_only_its_span(row: int, column: int) -> None:
    """Changing bars after its end or before its entry changes no label beyond rounding."""
    arrays = {name: getattr(PANEL, name).copy() for name in ("open", "high", "low", "close")}
    for array in arrays.values():
        array[row, column] *= 1.3
    changed = labels(replace(PANEL, **arrays), LAST_SESSION)
    entry = np.arange(SESSIONS)[:, None] + 1
    outside = (LABELS.end < row) | (entry > row)
    np.testing.assert_allclose(changed.excess[outside], LABELS.excess[outside], rtol=0, atol=1e-12)


@pytest.mark.parametrize("ratio", [2.0, 3.0, 0.1])
def test_a_split_changes_no_label(ratio: float) -> None:
    column = PANEL.column("PLAIN")
    arrays = {name: getattr(PANEL, name).copy() for name in ("open", "high", "low", "close", "split", "dividend")}
    for name in ("open", "high", "low", "close"):
        arrays[name][SPLIT:, column] /= ratio
    arrays["dividend"][SPLIT + 1 :, column] /= ratio
    arrays["split"][SPLIT, column] = ratio
    changed = labels(replace(PANEL, **arrays), LAST_SESSION)
    np.testing.assert_allclose(changed.excess, LABELS.excess, rtol=0, atol=1e-12)


def test_a_dividend_inside_the_span_counts_and_one_outside_does_not() -> None:
    column, ex_date = PANEL.column("HALT"), 200
    dividend = PANEL.dividend.copy()
    dividend[ex_date, column] = 1.0
    gain = labels(replace(PANEL, dividend=dividend), LAST_SESSION).excess[:, column] - LABELS.excess[:, column]
    # Bought at the open of the ex-date or later there is none; sold at the open of the ex-date there is.
    assert np.flatnonzero(np.abs(gain) > 1e-9).tolist() == list(range(ex_date - 6, ex_date - 1))


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="horizon"):
        labels(PANEL, LAST_SESSION, 0)
    with pytest.raises(DataError, match="last_session"):
        labels(PANEL, LAST_SESSION[1:])
    with pytest.raises(DataError, match="after its last session"):
        labels(PANEL, np.where(LAST_SESSION > 0, LAST_SESSION - 1, -1))
    with pytest.raises(DataError, match="no ticker SPY"):
        labels(PANEL.columns(np.arange(2)), LAST_SESSION[:2])


def test_a_panel_shorter_than_the_horizon_has_no_labels() -> None:
    assert np.isnan(labels(PANEL.rows(0, 4), np.full_like(LAST_SESSION, -1)).excess).all()


def test_targets() -> None:
    target = binary_target(LABELS.excess, PANEL.member)
    ranks = rank_target(LABELS.excess, PANEL.member)
    for t in (0, 100, 298, SESSIONS - 1):
        known = PANEL.member[t] & np.isfinite(LABELS.excess[t])
        median = np.median(LABELS.excess[t, known]) if known.any() else math.nan
        np.testing.assert_array_equal(target[t, known], LABELS.excess[t, known] > median)
        assert np.isnan(target[t, ~known]).all()
        assert np.isnan(ranks[t, ~known]).all()
        if known.any():
            order = np.argsort(LABELS.excess[t, known])
            np.testing.assert_allclose(ranks[t, known][order], np.linspace(-0.5, 0.5, known.sum()), atol=1e-7)
