"""Weekly training: every week of a calendar, each only once.

What a week's bundle depends on is hashed into its key (rows, parameters, context, library versions, training code); a
bundle with that key is taken from the cache, whatever trained it: an earlier run, a killed one, or `make train`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import sklearn

from quant50.errors import DataError, ModelError
from quant50.model import Bundle, dumps, loads
from training.dataset import Rows, Week, rows_digest, usable, weeks
from training.evaluation import Mean
from training.fit import LABELS, FitParameters, Fitted, InformationCoefficient
from training.registry import cache_path, publish, write_atomic
from training.training_set import TrainingSet
from training.workers import Pool

CODE = ("dataset.py", "fit.py", "baselines.py", "evaluation.py", "weekly.py")
"""Files of this package whose change makes every week train anew."""


@dataclass(frozen=True)
class Result:
    """What became of a week: 'trained', 'cached' or 'skipped' (with the reason), and the key of its bundle."""

    usable_from: str
    status: str
    key: str = ""
    reason: str = ""


def versions() -> dict[str, str]:
    """Versions of the libraries that make a model."""
    return {"lightgbm": lightgbm.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__}


def code_hash() -> str:
    """sha256 of the files that make a model."""
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Task:
    """One week to train, with the week whose training window gives its IC."""

    week: Week
    anchor: Week
    key: str
    ic_key: str
    data_hash: str


def anchor_week(week: Week, calendar: Sequence[Week], refresh: int) -> Week:
    """First week of the calendar in the same block of `refresh` weeks, counted from 1969-12-29: never a later one."""
    block = week.number // refresh
    return min((other for other in calendar if other.number // refresh == block), key=lambda other: other.number)


def _sessions(rows: Rows, week: Week, years: float) -> int:
    return len(np.unique(rows.session[usable(rows, week, years)]))


def _origin(data: TrainingSet, parameters: FitParameters) -> dict[str, Any]:
    """What, besides the data, every week's bundle depends on."""
    return {
        "code": code_hash(), "versions": versions(), "parameters": parameters.mapping(), "features": data.feature_names
    }  # fmt: skip


def _plan(
    data: TrainingSet, week: Week, calendar: Sequence[Week], parameters: FitParameters, made_by: dict[str, Any]
) -> _Task:
    """Keys of a week; an anchor with too little data gives way to the week itself."""
    years = parameters.training_years
    anchor = anchor_week(week, (*calendar, week), parameters.ic_refresh_weeks)
    if _sessions(data.rows, anchor, years) < parameters.minimum_sessions:
        anchor = week
    digest = partial(rows_digest, data.rows, tickers=data.panel.tickers, whole=data.digests)
    data_hash = digest(indices=usable(data.rows, week, years))
    ic_key = _hash([made_by, "ic", digest(indices=usable(data.rows, anchor, years))])
    key = _hash([made_by, ic_key, data_hash, str(week.usable_from), data.context(week)])
    return _Task(week, anchor, key, ic_key, data_hash)


def _bundle(
    data: TrainingSet, task: _Task, fitted: Fitted, ic: InformationCoefficient, parameters: FitParameters
) -> bytes:
    dates, session = data.panel.dates, data.rows.session[usable(data.rows, task.week, parameters.training_years)]
    bundle = Bundle(
        kind=parameters.kind,
        feature_names=data.feature_names,
        booster=fitted.booster,
        coefficients=fitted.coefficients,
        trained_through=str(dates[task.week.trained_through]),
        usable_from=str(task.week.usable_from),
        label=LABELS[parameters.label],
        window=f"{dates[session[0]]}..{dates[session[-1]]}",
        ic=ic.value,
        ic_standard_error=ic.standard_error,
        versions=versions(),
        metrics={
            "rows": float(fitted.rows),
            "sessions": float(fitted.sessions),
            "missing_as_zero": float(fitted.filled),
            "ic_unshrunk": ic.estimate.value,
            "ic_sessions": float(ic.estimate.sessions),
            "ic_week": float(task.anchor.number),
        },
        data_hash=task.data_hash,
        parameters=parameters.mapping(),
        commit=data.commit,
        **data.context(task.week),
    )
    return dumps(bundle)


def train_weeks(
    data: TrainingSet,
    chosen: Sequence[Week],
    storage: Path,
    parameters: FitParameters | None = None,
    workers: int = 2,
    progress: Callable[[int, int, Result], None] | None = None,
    reason: str = "weekly training",
) -> list[Result]:
    """Train the chosen weeks that are not in the cache, and put all of them in force.

    Each bundle enters the cache as soon as it is trained, so a killed run resumes where it was; the index follows in
    one step at the end. The bytes of a bundle do not depend on the other weeks, nor on the number of workers.

    Parameters
    ----------
    chosen : weeks of `training.dataset.weeks(data.panel.dates)`
    storage : root of the registry; one for each kind of model
    workers : processes (LightGBM has one thread each); 1 trains in this process
    progress : called with (weeks done, weeks in all, result) in the order of the weeks

    Returns
    -------
    One result for each week, in order.

    Raises
    ------
    DataError
        A file cannot be written, or a week is not of the panel's calendar.
    """
    parameters = parameters or FitParameters()
    calendar = weeks(data.panel.dates)
    results: list[Result] = []
    models: list[tuple[str, bytes, str]] = []
    tasks: dict[Week, _Task] = {}
    made_by = _origin(data, parameters)
    for week in chosen:
        if week.first_row > len(data.panel.dates):
            raise DataError(f"week of {week.usable_from} is not of the panel's calendar")
        if _sessions(data.rows, week, parameters.training_years) >= parameters.minimum_sessions:
            tasks[week] = _plan(data, week, calendar, parameters, made_by)
    missing = [task for task in tasks.values() if _cached_bundle(storage, task.key) is None]
    with Pool(data.rows, data.feature_names, parameters, workers if len(missing) > 1 else 1) as pool:
        estimates = _estimates(data, missing, storage, parameters, pool)
        fits = pool.map("fit", [task.week for task in missing])
        absent = {task.key for task in missing}
        for done, week in enumerate(chosen, start=1):
            if week not in tasks:
                least = f"fewer than {parameters.minimum_sessions} labelled sessions before it"
                result = Result(str(week.usable_from), "skipped", reason=least)
            else:
                task = tasks[week]
                status = "trained" if task.key in absent else "cached"
                if status == "trained":
                    content = _bundle(data, task, next(fits), estimates[task.ic_key], parameters)
                    write_atomic(cache_path(storage, task.key), content)
                else:
                    content = cache_path(storage, task.key).read_bytes()
                models.append((task.key, content, reason))
                result = Result(str(week.usable_from), status, task.key)
            results.append(result)
            if progress is not None:
                progress(done, len(chosen), result)
    publish(storage, models)
    return results


def _cached_bundle(storage: Path, key: str) -> bytes | None:
    """Bytes of a cached bundle; None if there is none or it is damaged (it is then trained again)."""
    path = cache_path(storage, key)
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        loads(content)
    except ModelError:
        return None
    return content


def _estimates(
    data: TrainingSet, tasks: Sequence[_Task], storage: Path, parameters: FitParameters, pool: Pool
) -> dict[str, InformationCoefficient]:
    """IC estimates the tasks need, by key, from the cache where they are there."""
    anchors = {task.ic_key: task.anchor for task in tasks}
    found: dict[str, InformationCoefficient] = {}
    for key in anchors:
        path = cache_path(storage, key, "json")
        if path.exists():
            values = json.loads(path.read_text())
            found[key] = InformationCoefficient(values[0], values[1], Mean(*values[2:]))
    absent = [key for key in anchors if key not in found]
    made = pool.map("information_coefficient", [anchors[key] for key in absent])
    for key, ic in zip(absent, made, strict=True):
        estimate = ic.estimate
        values = [ic.value, ic.standard_error, estimate.value, estimate.standard_error, estimate.sessions]
        write_atomic(cache_path(storage, key, "json"), json.dumps(values).encode())
        found[key] = ic
    return found
