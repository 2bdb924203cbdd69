"""Fit one week's model and estimate its information coefficient.

Speed: the features are ranks, so the histogram bins come from a uniform grid on [−0.5, 0.5], fixed before any data are
seen. All rows of the panel are binned once and each week trains on a subset of them; the bins, and so the model, are
the same to the bit as if the week's rows alone were binned.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from quant50.errors import DataError, ParameterError
from quant50.model import KINDS, predict
from quant50.panel import Floats, Ints
from training.baselines import momentum, nothing, ridge
from training.dataset import Rows, every, targets
from training.evaluation import Mean, newey_west, rank_ic

LABELS: Final[dict[str, str]] = {
    "beats_median": "beats the session's median excess return over SPY, open of t+1 to open of t+6",
    "rank": "rank in the session of the excess return over SPY, open of t+1 to open of t+6",
}
GRID_POINTS: Final[int] = 601


@dataclass(frozen=True, kw_only=True)
class FitParameters:
    """What to train and how; the defaults were set before any result on real data was seen.

    A signal of this kind is weak (rank IC about 0.01) and its five-session labels overlap, so: shallow trees, large
    leaves, few of them, and every second session, which loses little and halves the time.

    Attributes
    ----------
    kind : 'lightgbm', 'ridge', 'momentum' or 'none'
    label : 'beats_median' (binary classifier) or 'rank' (regression)
    training_years : length of the training window
    minimum_sessions : labelled sessions without which a week is not trained
    sessions_step : train on every step-th session, counted back from the last usable one
    ridge_penalty : of the squared coefficients
    ic_folds, ic_embargo : purged contiguous folds of the IC estimate; sessions left out after each test fold's labels
    ic_refresh_weeks : weeks that share one IC estimate
    ic_prior : prior standard deviation of the IC around 0

    Raises
    ------
    ParameterError
        A value is unknown or outside its range.
    """

    kind: str = "lightgbm"
    label: str = "beats_median"
    training_years: float = 5.0
    minimum_sessions: int = 252
    sessions_step: int = 2
    trees: int = 100
    leaves: int = 15
    learning_rate: float = 0.05
    minimum_leaf_rows: int = 1000
    feature_fraction: float = 0.7
    l2: float = 10.0
    bins: int = 63
    seed: int = 1
    ridge_penalty: float = 1000.0
    ic_folds: int = 3
    ic_embargo: int = 5
    ic_refresh_weeks: int = 13
    ic_prior: float = 0.01

    def __post_init__(self) -> None:
        """Check every value."""
        if self.kind not in KINDS:
            raise ParameterError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.label not in LABELS:
            raise ParameterError(f"label must be one of {', '.join(LABELS)}, not {self.label!r}")
        for name, least in (
            ("sessions_step", 1), ("trees", 1), ("leaves", 2), ("minimum_leaf_rows", 1), ("bins", 2), ("ic_folds", 2),
            ("ic_refresh_weeks", 1), ("minimum_sessions", 1), ("seed", 0), ("ic_embargo", 0), ("l2", 0),
            ("ridge_penalty", 0),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ParameterError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("training_years", "learning_rate", "feature_fraction", "ic_prior"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} must be more than 0, not {getattr(self, name)}")

    def mapping(self) -> dict[str, str | int | float]:
        """Names and values."""
        return asdict(self)

    def lightgbm(self) -> dict[str, str | int | float | bool]:
        """Parameters of LightGBM; one thread and fixed seeds, so equal rows give an equal model."""
        return {
            "objective": "binary" if self.label == "beats_median" else "regression",
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.minimum_leaf_rows,
            "feature_fraction": self.feature_fraction,
            "lambda_l2": self.l2,
            "max_bin": self.bins,
            "min_data_in_bin": 1,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "feature_pre_filter": False,
            "enable_bundle": False,
            "verbosity": -1,
        }


@dataclass(frozen=True)
class Fitted:
    """A fitted model: LightGBM's text or F coefficients, the rows and sessions it saw, and missing values set to 0."""

    booster: str
    coefficients: tuple[float, ...]
    rows: int
    sessions: int
    filled: int = 0


class Learner:
    """Fits models on subsets of one set of rows, which it bins once.

    Parameters
    ----------
    rows : all rows any fit may ask for
    feature_names : F names
    parameters : of every fit
    """

    def __init__(self, rows: Rows, feature_names: tuple[str, ...], parameters: FitParameters) -> None:
        if rows.features.shape[1] != len(feature_names):
            raise DataError(f"rows have {rows.features.shape[1]} features, but {len(feature_names)} names are given")
        self.rows = rows
        self.feature_names = feature_names
        self.parameters = parameters

    @cached_property
    def _binned(self) -> lgb.Dataset:
        """All rows in the bins of a uniform grid, with a bin for missing values."""
        points = np.append(np.linspace(-0.5, 0.5, GRID_POINTS), np.nan)
        grid = np.repeat(points[:, None], len(self.feature_names), axis=1)
        options: dict[str, Any] = {"params": self.parameters.lightgbm(), "feature_name": list(self.feature_names)}
        empty = np.zeros(len(grid), np.float32)
        reference = lgb.Dataset(grid, label=empty, free_raw_data=False, **options).construct()
        unknown = np.zeros(len(self.rows.session), np.float32)
        rows = lgb.Dataset(self.rows.features, label=unknown, reference=reference, **options)
        return rows.construct()

    def fit(self, indices: Ints) -> Fitted:
        """Fit on every step-th session of the rows at `indices` (ascending)."""
        chosen = every(self.rows, indices, self.parameters.sessions_step)
        session = self.rows.session[chosen]
        target = targets(session, self.rows.excess[chosen], self.parameters.label)
        booster, filled = "", 0
        coefficients: tuple[float, ...] = ()
        if self.parameters.kind == "lightgbm":
            booster = self._boost(chosen, target)
        elif self.parameters.kind == "ridge":
            coefficients, filled = ridge(self.rows.features[chosen], target, self.parameters.ridge_penalty)
        elif self.parameters.kind == "momentum":
            coefficients = momentum(self.feature_names)
        else:
            coefficients = nothing(self.feature_names)
        return Fitted(booster, coefficients, len(chosen), len(np.unique(session)), filled)

    def _boost(self, indices: Ints, target: NDArray[np.float32]) -> str:
        rows: Any = indices  # LightGBM takes arrays; its annotation says list
        subset = self._binned.subset(rows, params=self.parameters.lightgbm()).construct()
        subset.set_label(target)
        booster = lgb.train(self.parameters.lightgbm(), subset, num_boost_round=self.parameters.trees)
        return str(booster.model_to_string())

    def information_coefficient(self, indices: Ints) -> InformationCoefficient:
        """Rank IC from purged contiguous folds of the rows at `indices`, shrunk toward 0 and floored there.

        Each fold's sessions are scored by a model fitted on the other folds, less the rows whose label span overlaps a
        label span of the fold and those of the `ic_embargo` sessions after it. The mean m of the per-session rank ICs
        has the Newey-West standard error s (10 lags); with the prior N(0, τ²), τ = `ic_prior`, the estimate is the
        posterior mean m·τ²/(τ² + s²), at least 0. It is an estimate for models of this window's kind, a little
        pessimistic (two thirds of the rows); a fold may be scored by a model that saw later sessions of the window,
        never by one that saw its own returns.
        """
        if self.parameters.kind == "none":
            return InformationCoefficient(0.0, 0.0, Mean(0.0, 0.0, 0))
        sessions = np.unique(self.rows.session[indices])
        folds = np.array_split(sessions, self.parameters.ic_folds)
        ics = np.concatenate([self._fold_ics(indices, fold) for fold in folds if len(fold)])
        return shrink(newey_west(ics), self.parameters.ic_prior)

    def _fold_ics(self, indices: Ints, fold: Ints) -> Floats:
        rows = self.rows
        test = indices[np.isin(rows.session[indices], fold)]
        train = purge(rows, indices, test, self.parameters.ic_embargo)
        if not len(train):
            return np.full(len(fold), np.nan)
        fitted = self.fit(train)
        shape = (len(fold), int(rows.column[test].max()) + 1)
        scores, excess = np.full(shape, np.nan), np.full(shape, np.nan)
        place = (np.searchsorted(fold, rows.session[test]), rows.column[test])
        scores[place] = predict(fitted.booster, fitted.coefficients, rows.features[test])
        excess[place] = rows.excess[test]
        return rank_ic(scores, excess)


def purge(rows: Rows, indices: Ints, test: Ints, embargo: int) -> Ints:
    """Of the rows at `indices`, those that may train a model which is tested on the contiguous sessions of `test`.

    A row goes if its label span [t+1, end] overlaps that of any test row, or if it is of the session at
    which the last test span ends or of the `embargo` sessions after it.
    """
    first, last = int(rows.session[test].min()) + 1, int(rows.end[test].max())
    before = rows.end[indices] < first
    after = rows.session[indices] > last + embargo
    return indices[before | after]


@dataclass(frozen=True)
class InformationCoefficient:
    """IC for the expected returns (shrunk, floored at 0), its standard error, and the estimate before shrinking."""

    value: float
    standard_error: float
    estimate: Mean


def shrink(estimate: Mean, prior: float) -> InformationCoefficient:
    """Posterior mean under the prior N(0, prior²), floored at 0; without an estimate the prior itself.

    >>> shrink(Mean(0.02, 0.01, 500), 0.01).value
    0.01
    >>> shrink(Mean(-0.02, 0.01, 500), 0.01).value
    0.0
    """
    if not (np.isfinite(estimate.value) and np.isfinite(estimate.standard_error)):
        return InformationCoefficient(0.0, prior, estimate)
    weight = prior**2 / (prior**2 + estimate.standard_error**2)
    return InformationCoefficient(max(estimate.value * weight, 0.0), estimate.standard_error, estimate)
