"""Scores of the weekly models: each session uses the one in force, and a model that must not be used is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quant50.errors import DataError, ModelError
from quant50.model import scores
from tests.training.small_market import PARAMETERS, SmallMarket, small_market
from training.commands.train import next_session, this_week, weeks_of
from training.registry import INDEX, bundle_in_force, bundles, model_path
from training.walk_forward import score_sessions


@pytest.fixture(scope="module")
def market() -> SmallMarket:
    return small_market()


@pytest.fixture
def storage(market: SmallMarket, tmp_path: Path) -> Path:
    """A copy of the registry, to be damaged."""
    return Path(shutil.copytree(market.storage / "quant50", tmp_path / "storage" / "quant50")).parent


def without(storage: Path, *positions: int) -> list[str]:
    """Take weeks (by their position) out of the index; return all weeks there were."""
    lines = json.loads((storage / INDEX).read_text())
    weeks = [line["usable_from"] for line in lines]
    gone = {weeks[position] for position in positions}
    (storage / INDEX).write_text(json.dumps([line for line in lines if line["usable_from"] not in gone]))
    return weeks


def test_each_session_uses_the_model_in_force(market: SmallMarket) -> None:
    """Against the registry's own answer, session by session, and the model's own scores."""
    panel, scored = market.prepared.market.panel, market.scored()
    used = []
    for row in range(market.start, market.stop):
        bundle = bundle_in_force(market.storage, panel.dates[row].item())
        used.append(bundle.usable_from)
        assert scored.model[row] == bundle.usable_from
        assert bundle.trained_through < bundle.usable_from <= str(panel.dates[row])
        assert (scored.ic[row], scored.ic_standard_error[row]) == (bundle.ic, bundle.ic_standard_error)
        member = panel.member[row] & ~panel.is_etf
        assert member.sum() > 30
        assert np.array_equal(scored.scores[row, member], scores(bundle, market.prepared.features[row, member]))
        assert np.isnan(scored.scores[row, ~member]).all()
    assert len(set(used)) >= 8
    outside = np.r_[0 : market.start]
    assert np.isnan(scored.scores[outside]).all()
    assert np.isnan(scored.ic[outside]).all()
    assert set(scored.model[outside]) == {""}


def test_a_model_serves_until_the_next_one(market: SmallMarket, storage: Path) -> None:
    """Without one week's model the week before it serves on; the other sessions do not notice."""
    weeks = without(storage, 3)
    whole = market.scored()
    scored = score_sessions(market.prepared, storage, PARAMETERS, market.start, market.stop)
    touched = whole.model == weeks[3]
    assert touched.any()
    assert set(scored.model[touched]) == {weeks[2]}
    assert np.array_equal(scored.scores[~touched], whole.scores[~touched], equal_nan=True)
    assert not np.array_equal(scored.scores[touched], whole.scores[touched], equal_nan=True)


def test_no_model_for_the_first_session(market: SmallMarket, storage: Path) -> None:
    without(storage, 0)
    first = market.prepared.market.panel.dates[market.start]
    with pytest.raises(ModelError, match=f"no model is in force on {first}"):
        score_sessions(market.prepared, storage, PARAMETERS, market.start, market.stop)


def test_an_empty_registry(market: SmallMarket, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model is in force"):
        score_sessions(market.prepared, tmp_path, PARAMETERS, market.start, market.stop)


def test_a_model_older_than_the_policy(market: SmallMarket, storage: Path) -> None:
    """Three weeks without a model are refused with 14 days, not with 35."""
    without(storage, 3, 4, 5)
    score_sessions(market.prepared, storage, PARAMETERS, market.start, market.stop)
    with pytest.raises(ModelError, match="policy allows 14") as refused:
        score_sessions(
            market.prepared, storage, replace(PARAMETERS, model_maximum_age_days=14), market.start, market.stop
        )
    assert "\n" not in str(refused.value)


def test_age_counts_to_the_last_session_of_a_model(market: SmallMarket) -> None:
    """A weekly model is used from Monday to Friday: four days are enough, three are not."""
    score_sessions(
        market.prepared, market.storage, replace(PARAMETERS, model_maximum_age_days=4), market.start, market.stop
    )
    with pytest.raises(ModelError, match="policy allows 3"):
        score_sessions(
            market.prepared, market.storage, replace(PARAMETERS, model_maximum_age_days=3), market.start, market.stop
        )


@pytest.mark.parametrize("damage", ["one byte", "cut off", "other week", "deleted"])
def test_a_bundle_that_is_not_the_one_of_the_index(market: SmallMarket, storage: Path, damage: str) -> None:
    weeks = [entry.usable_from for entry in bundles(storage)]
    path = storage / model_path(weeks[4])
    content = path.read_bytes()
    if damage == "one byte":
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    elif damage == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "other week":
        path.write_bytes((storage / model_path(weeks[5])).read_bytes())
    else:
        path.unlink()
    with pytest.raises(ModelError, match=f"{weeks[4]}.pkl (refused|cannot be read)") as refused:
        score_sessions(market.prepared, storage, PARAMETERS, market.start, market.stop)
    assert "\n" not in str(refused.value)
    before = market.start + int(
        np.searchsorted(market.prepared.market.panel.dates[market.start :], np.datetime64(weeks[4]))
    )
    score_sessions(market.prepared, storage, PARAMETERS, market.start, before)  # not needed for the weeks before


def test_weeks_of_a_range_begin_with_the_one_in_force(market: SmallMarket) -> None:
    dates = market.prepared.market.panel.dates
    whole = weeks_of(market.prepared, market.start, market.stop)
    assert whole[0].first_row <= market.start < whole[1].first_row
    assert whole[-1].first_row < market.stop
    monday = whole[2].first_row
    assert weeks_of(market.prepared, monday, monday + 1) == [whole[2]]
    assert weeks_of(market.prepared, monday - 1, monday) == [whole[1]]
    assert weeks_of(market.prepared, monday - 1, monday + 1) == whole[1:3]
    with pytest.raises(DataError, match="no week begins"):
        weeks_of(market.prepared, 0, 1)
    assert this_week(market.prepared).usable_from == next_session(dates[-1]) == np.datetime64("2022-01-03")


def test_rows_of_a_range_of_dates(market: SmallMarket) -> None:
    dates = market.prepared.market.panel.dates
    assert market.prepared.rows(None, None) == (0, len(dates))
    assert market.prepared.rows(dates[5], dates[7]) == (5, 8)
    first, stop = market.prepared.rows(np.datetime64("2021-01-02"), np.datetime64("2021-01-10"))  # weekends
    assert [str(day) for day in dates[[first, stop - 1]]] == ["2021-01-04", "2021-01-08"]
    for start, end in (("2021-01-02", "2021-01-03"), ("2021-03-01", "2021-02-01"), ("2030-01-01", "2031-01-01")):
        with pytest.raises(DataError, match="no session from"):
            market.prepared.rows(np.datetime64(start), np.datetime64(end))
