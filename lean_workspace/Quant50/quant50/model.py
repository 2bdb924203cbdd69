"""The weekly model bundle: what it holds, how it is stored and refused, and the scores it gives.

A stored bundle is a pickle of built-in types and NumPy arrays only, read by an unpickler that admits nothing else. Its
bytes are a function of its values (no memo, sorted mappings), so equal bundles have equal hashes.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from functools import lru_cache
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

from quant50.errors import ModelError
from quant50.panel import Floats

KINDS: Final[tuple[str, ...]] = ("lightgbm", "ridge", "momentum", "none")
"""Kinds of model; all but the first are linear in the features ('none' has zero coefficients)."""

FORMAT: Final[int] = 1
"""Version of the stored form; another one is refused."""

ADMITTED: Final[frozenset[tuple[str, str]]] = frozenset(
    [("numpy", "ndarray"), ("numpy", "dtype")]
    + [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")]
)
"""The only globals a bundle's pickle may name; containers, numbers, text and bytes need none."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """One week's model with all that is needed to use and to audit it.

    Attributes
    ----------
    kind : one of `KINDS`
    feature_names : names of the F features, in order
    booster : LightGBM's native text, empty for linear kinds
    coefficients : F numbers of a linear kind (missing features count as 0), empty for LightGBM
    trained_through, usable_from : ISO dates, last session the training saw and first session that may use it
    label, window : what was learned and from which sessions, in words
    ic, ic_standard_error : rank IC, shrunk and floored at 0; Newey-West standard error of the unshrunk estimate
    sectors : sector code of each ticker (`quant50.groups`)
    universe : candidate tickers of the first session it may be used on
    actions : (ISO ex-date, ticker, new per old share, USD per old share) of the last `HISTORY_SESSIONS` sessions
    versions, metrics, parameters, commit : of the training; data_hash : sha256 of the rows it was trained on

    Raises
    ------
    ModelError
        The kind is unknown, or it does not come with exactly what its scores need.
    """

    kind: str
    feature_names: tuple[str, ...]
    trained_through: str
    usable_from: str
    label: str
    window: str
    ic: float
    ic_standard_error: float
    data_hash: str
    booster: str = ""
    coefficients: tuple[float, ...] = ()
    sectors: Mapping[str, int]
    universe: tuple[str, ...]
    actions: tuple[tuple[str, str, float, float], ...] = ()
    versions: Mapping[str, str]
    metrics: Mapping[str, float]
    parameters: Mapping[str, str | int | float]
    commit: str = ""

    def __post_init__(self) -> None:
        """Check that the kind, the model and the dates agree."""
        if self.kind not in KINDS:
            raise ModelError(f"model bundle: unknown kind {self.kind!r}; known are {', '.join(KINDS)}")
        if (self.kind == "lightgbm") != bool(self.booster):
            raise ModelError(f"model bundle: a booster belongs to kind lightgbm and to no other, not to {self.kind}")
        if len(self.coefficients) != (0 if self.booster else len(self.feature_names)):
            raise ModelError(
                f"model bundle: {len(self.coefficients)} coefficients for {len(self.feature_names)} features"
            )
        if not self.trained_through < self.usable_from:
            raise ModelError(f"model bundle: usable from {self.usable_from} but trained through {self.trained_through}")
        if not (self.ic >= 0.0 and self.ic_standard_error >= 0.0):
            raise ModelError("model bundle: the IC and its standard error must be zero or more")


class _Unpickler(pickle.Unpickler):
    """Reads built-in types and NumPy arrays; whatever else the pickle names is refused before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        """Return an admitted global; ModelError for any other."""
        if (module, name) not in ADMITTED:
            raise ModelError(f"model bundle refused: it names {module}.{name}, which no bundle may hold")
        return super().find_class(module, name)


def _pickle(value: Any) -> bytes:
    """Pickle without memo, so that equal values give equal bytes."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=4)
    pickler.fast = True
    pickler.dump(value)
    return stream.getvalue()


def _unpickle(content: bytes) -> Any:
    try:
        return _Unpickler(io.BytesIO(content)).load()
    except ModelError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything; all of it means the same here
        raise ModelError(f"model bundle refused: it cannot be read ({type(error).__name__}: {error})") from error


def dumps(bundle: Bundle) -> bytes:
    """Bytes of a bundle: built-in types and NumPy arrays, with the sha256 of the content.

    Equal bundles give equal bytes, and `loads(dumps(bundle)) == bundle`.
    """
    values = {field.name: getattr(bundle, field.name) for field in fields(bundle)}
    for name in ("sectors", "versions", "metrics", "parameters"):
        values[name] = dict(sorted(values[name].items()))
    values["coefficients"] = np.asarray(bundle.coefficients, dtype=np.float64)
    content = _pickle(values)
    return _pickle({"format": FORMAT, "sha256": hashlib.sha256(content).hexdigest(), "content": content})


def loads(
    content: bytes,
    feature_names: Sequence[str] | None = None,
    as_of: date | None = None,
    maximum_age_days: float | None = None,
) -> Bundle:
    """Read a bundle and refuse, with one sentence, what must not be used.

    Parameters
    ----------
    content : bytes of `dumps`
    feature_names : names the caller will score with; None skips the check
    as_of : session of use; None skips the checks of date
    maximum_age_days : calendar days a bundle may be used after `usable_from`; None for any

    Raises
    ------
    ModelError
        Unreadable, altered, of another format, for another LightGBM, for other features, not yet usable or too old.
    """
    outer = _unpickle(content)
    if not isinstance(outer, dict) or set(outer) != {"format", "sha256", "content"}:
        raise ModelError("model bundle refused: it is not a model bundle")
    if outer["format"] != FORMAT:
        raise ModelError(f"model bundle refused: format {outer['format']}, this program reads format {FORMAT}")
    if not isinstance(outer["content"], bytes) or hashlib.sha256(outer["content"]).hexdigest() != outer["sha256"]:
        raise ModelError("model bundle refused: its content does not match its sha256")
    values = _unpickle(outer["content"])
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(Bundle)}:
        raise ModelError("model bundle refused: its fields are not those of a model bundle")
    values["coefficients"] = tuple(float(value) for value in np.asarray(values["coefficients"], dtype=np.float64))
    bundle = Bundle(**values)
    if feature_names is not None and tuple(feature_names) != bundle.feature_names:
        raise ModelError(
            f"model bundle refused: made for {len(bundle.feature_names)} features that are not"
            f" the {len(feature_names)} features of this program, or not in their order"
        )
    _check_versions(bundle)
    if as_of is not None:
        check_age(bundle, as_of, maximum_age_days)
    return bundle


def _check_versions(bundle: Bundle) -> None:
    """Refuse a bundle made with another LightGBM (major.minor)."""
    made, here = bundle.versions.get("lightgbm", "unknown"), lightgbm.__version__
    if made.split(".")[:2] != here.split(".")[:2]:
        raise ModelError(f"model bundle refused: made with LightGBM {made}, this program runs {here}")


def check_age(bundle: Bundle, as_of: date, maximum_age_days: float | None = None) -> None:
    """Refuse a bundle on a session before it may be used, or too long after.

    Raises
    ------
    ModelError
        `as_of` precedes `usable_from`, or is more than `maximum_age_days` calendar days after it.
    """
    age = (as_of - date.fromisoformat(bundle.usable_from)).days
    if age < 0:
        raise ModelError(f"model bundle refused: usable from {bundle.usable_from}, not yet on {as_of.isoformat()}")
    if maximum_age_days is not None and age > maximum_age_days:
        raise ModelError(
            f"model bundle refused: usable from {bundle.usable_from}, {age} days old on {as_of.isoformat()},"
            f" the policy allows {maximum_age_days:g}"
        )


@lru_cache(maxsize=16)
def _booster(text: str, sha256: str) -> lightgbm.Booster:
    """Booster of a native text, loaded once for each hash."""
    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(f"model bundle refused: LightGBM {sha256[:12]} cannot be read ({error})") from error


def scores(bundle: Bundle, features: NDArray[np.float32]) -> Floats:
    """Scores of n rows: LightGBM's raw prediction, or features times coefficients; rounded to 1e-10.

    Parameters
    ----------
    features : (n, F) float32; NaN is a missing feature

    Returns
    -------
    (n,) float64, NaN for rows whose features are all missing

    Raises
    ------
    ModelError
        The features are not (n, F) float32.
    """
    if features.dtype != np.float32 or features.ndim != 2 or features.shape[1] != len(bundle.feature_names):
        raise ModelError(
            f"scores: features are {features.shape} {features.dtype}, expected (n, {len(bundle.feature_names)}) float32"
        )
    return predict(bundle.booster, bundle.coefficients, features)


def predict(booster: str, coefficients: Sequence[float], features: NDArray[np.float32]) -> Floats:
    """Rounded scores (n,) of features (n, F) by a LightGBM text or, where that is empty, by coefficients (F,)."""
    known = ~np.isnan(features).all(axis=1)
    result = np.full(len(features), np.nan)
    if not known.any():
        return result
    if booster:
        sha256 = hashlib.sha256(booster.encode()).hexdigest()
        result[known] = _booster(booster, sha256).predict(features[known], raw_score=True, num_threads=1)
    else:
        present = np.nan_to_num(features[known].astype(np.float64), nan=0.0)
        result[known] = (present * np.asarray(coefficients)).sum(axis=1)
    return np.round(result, 10)
