"""Features: against windows written out, blind to the future, the same in one session as in a panel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant50.errors import DataError
from quant50.features import FEATURE_NAMES, panel_features, raw_features, session_features
from quant50.panel import HISTORY_SESSIONS, Panel, returns
from quant50.ranks import session_ranks
from tests.core.feature_reference import reference
from tests.difficult_market import difficult_market

PRICES = ("open", "high", "low", "close", "volume")


def without_bars(panel: Panel, cells: list[tuple[int, str]]) -> Panel:
    """The panel with some bars taken out."""
    arrays = {name: getattr(panel, name).copy() for name in PRICES}
    for row, ticker in cells:
        for array in arrays.values():
            array[row, panel.column(ticker)] = np.nan
    return replace(panel, **arrays)


def market() -> Panel:
    """The difficult market with windows that open on holes short and long, SPY's among them.

    PLAIN2 leaves the index while the other stock of its sector stays, and SPY stands in the index by mistake.
    """
    panel, _ = difficult_market()
    cells = [(3, "PLAIN"), (4, "PLAIN"), (5, "PLAIN"), (20, "SPLIT"), (41, "LATE")]
    cells += [(row, "REVERSE") for row in range(10, 271)] + [(row, "SPY") for row in range(24, 50)]
    panel = without_bars(panel, cells)
    member = panel.member.copy()
    member[:, panel.column("SPY")] = True
    member[310:, panel.column("PLAIN2")] = False
    return replace(panel, member=member)


PANEL = market()
LAST = len(PANEL.dates) - 1


def features(panel: Panel) -> np.ndarray:
    return panel_features(panel, returns(panel))


FEATURES = features(PANEL)


def test_names_are_unique() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == FEATURES.shape[2]


@pytest.mark.parametrize("row", [273, 276, 280, 281, 285, 293, 298, 299, 313, 320, LAST])
def test_raw_features_are_those_of_the_window_written_out(row: int) -> None:
    window = PANEL.rows(row - HISTORY_SESSIONS + 1, row + 1)
    expected = reference(window)
    columns, raw = raw_features(PANEL, returns(PANEL), PANEL.column("SPY"), np.array([row]))
    # A price that never moves leaves differences of the last bit in the reference alone.
    for place, name in enumerate(FEATURE_NAMES):
        wanted = np.where(np.abs(expected[name][columns]) < 1e-13, 0.0, expected[name][columns])
        np.testing.assert_allclose(raw[place, 0], wanted, rtol=2e-9, atol=3e-13, err_msg=name)
        ranks = session_ranks(raw[place], PANEL.member[row : row + 1, columns])[0]
        np.testing.assert_array_equal(FEATURES[row, columns, place], ranks, err_msg=name)


def test_one_session_equals_the_panel_to_the_bit() -> None:
    for row in range(HISTORY_SESSIONS - 1, LAST + 1):
        window = PANEL.rows(row - HISTORY_SESSIONS + 1, row + 1)
        np.testing.assert_array_equal(session_features(window), FEATURES[row], err_msg=f"row {row}")


def test_chunks_blocks_and_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quant50.features.CHUNK_SESSIONS", 13)
    monkeypatch.setattr("quant50.features.BLOCK_COLUMNS", 3)
    monkeypatch.setattr("quant50.features.WRITE_SESSIONS", 5)
    np.testing.assert_array_equal(panel_features(PANEL, returns(PANEL), threads=1), FEATURES)


def test_nothing_for_early_sessions_etfs_and_those_who_are_not_members() -> None:
    assert np.isnan(FEATURES[: HISTORY_SESSIONS - 1]).all()
    assert np.isnan(FEATURES[:, PANEL.column("SPY")]).all()
    assert np.isnan(FEATURES[~PANEL.member]).all()
    assert PANEL.member[:, PANEL.column("SPY")].all()
    assert np.isfinite(FEATURES[LAST, PANEL.column("PLAIN")]).all()
    assert np.nanmin(FEATURES) == -0.5
    assert np.nanmax(FEATURES) == 0.5


def test_short_history_gives_what_it_can() -> None:
    late = PANEL.column("LATE")
    only = {name for place, name in enumerate(FEATURE_NAMES) if np.isfinite(FEATURES[280, late, place])}
    year = {
        "return_252", "momentum_12_1", "distance_high_252", "distance_low_252", "beta_252", "residual_volatility_252",
        "residual_momentum", "sector_momentum",
    }  # fmt: skip
    assert only == set(FEATURE_NAMES) - year


@settings(max_examples=30)
@given(
    row=st.integers(HISTORY_SESSIONS - 1, LAST - 1),
    cells=st.lists(
        st.tuples(
            st.integers(1, 60),
            st.integers(0, len(PANEL.tickers) - 1),
            st.sampled_from([*PRICES, "split", "dividend", "member", "sector"]),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_no_future_cell_changes_a_feature(row: int, cells: list[tuple[int, int, str]]) -> None:
    arrays = {name: getattr(PANEL, name).copy() for name in (*PRICES, "split", "dividend", "member", "sector")}
    for ahead, column, name in cells:
        value = arrays[name][min(row + ahead, LAST), column]
        changed = {"split": 2.0, "dividend": 0.5, "member": not value, "sector": (value + 1) % 11}
        arrays[name][min(row + ahead, LAST), column] = changed.get(name, np.nan if ahead % 2 else value * 1.7)
    # A bar is whole or absent.
    absent = np.logical_or.reduce([np.isnan(arrays[name]) for name in PRICES])
    for name in PRICES:
        arrays[name][absent] = np.nan
    changed_features = features(replace(PANEL, **arrays))
    np.testing.assert_array_equal(changed_features[: row + 1], FEATURES[: row + 1])


@settings(max_examples=20)
@given(
    row=st.integers(HISTORY_SESSIONS, LAST),
    back=st.integers(1, 40),
    column=st.integers(0, len(PANEL.tickers) - 1),
    absent=st.booleans(),
)
def test_nothing_before_the_window_changes_a_feature(row: int, back: int, column: int, absent: bool) -> None:
    old = max(row - HISTORY_SESSIONS + 1 - back, 0)
    arrays = {name: getattr(PANEL, name).copy() for name in PRICES}
    for array in arrays.values():
        array[old, column] *= np.nan if absent else 1.7
    # What lies before the window of `row` lies before every later window too.
    np.testing.assert_array_equal(features(replace(PANEL, **arrays))[row:], FEATURES[row:])


def test_the_first_bar_of_the_window_does_count() -> None:
    row = HISTORY_SESSIONS - 1
    changed = {name: getattr(PANEL, name).copy() for name in PRICES}
    changed["close"][0, PANEL.column("HALT")] *= 1.3
    names = ["relative_strength_14", "macd"]
    raw = [raw_features(p, returns(p), p.column("SPY"), np.array([row]))[1] for p in (PANEL, replace(PANEL, **changed))]
    for name in names:
        assert np.any(raw[0][FEATURE_NAMES.index(name)] != raw[1][FEATURE_NAMES.index(name)])


@pytest.mark.parametrize("ratio", [2.0, 4.0, 3.0, 1.5, 0.1])
@pytest.mark.parametrize("ex_date", [100, 299, 300])
def test_a_split_moves_no_feature(ratio: float, ex_date: int) -> None:
    column = PANEL.column("PLAIN")
    arrays = {name: getattr(PANEL, name).copy() for name in (*PRICES, "split", "dividend")}
    for name in ("open", "high", "low", "close"):
        arrays[name][ex_date:, column] /= ratio
    arrays["volume"][ex_date:, column] *= ratio
    arrays["dividend"][ex_date + 1 :, column] /= ratio
    arrays["split"][ex_date, column] = ratio
    np.testing.assert_array_equal(features(replace(PANEL, **arrays)), FEATURES)


def test_ties_rank_by_ticker() -> None:
    panel, _ = difficult_market()
    arrays = {name: getattr(panel, name).copy() for name in (*PRICES, "split", "dividend")}
    twin, original = panel.column("PLAIN2"), panel.column("PLAIN")
    for array in arrays.values():
        array[:, twin] = array[:, original]
    for member in (True, False):
        members = panel.member.copy()
        members[:, [n for n in range(12) if n not in (twin, original)]] = member
        result = features(replace(panel, **arrays, member=members))[LAST]
        assert np.all(result[twin] > result[original])


def test_a_constant_price_is_calm() -> None:
    row, column = 280, PANEL.column("CONST")
    columns, raw = raw_features(PANEL, returns(PANEL), PANEL.column("SPY"), np.array([row]))
    place = int(np.flatnonzero(columns == column)[0])
    value = {name: raw[i, 0, place] for i, name in enumerate(FEATURE_NAMES)}
    assert value["relative_strength_14"] == 0.5
    for name in ("return_252", "macd", "volatility_63", "distance_high_252", "beta_252", "residual_volatility_252"):
        assert value[name] == 0.0, name
    assert all(np.isnan(value[name]) for name in ("skewness_63", "volatility_ratio", "residual_momentum"))


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="274 sessions"):
        session_features(PANEL.rows(0, 273))
    with pytest.raises(DataError, match="no ticker SPY"):
        session_features(PANEL.rows(0, 274).columns(np.arange(3)))
    with pytest.raises(DataError, match="features: returns"):
        panel_features(PANEL, returns(PANEL.rows(0, 300)))


def test_a_short_panel_has_no_features() -> None:
    assert np.isnan(features(PANEL.rows(0, 200))).all()
