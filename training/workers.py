"""Worker processes of the weekly training: each bins the rows once and fits the weeks it is handed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from quant50.errors import BuildError
from training.dataset import Rows, Week, usable
from training.fit import FitParameters, Learner


class Pool:
    """Calls methods of a `Learner` on weeks' rows, in this process or in several; results come in order.

    Parameters
    ----------
    rows, feature_names, parameters : of the learner
    workers : processes; 1 works in this one
    """

    def __init__(self, rows: Rows, feature_names: tuple[str, ...], parameters: FitParameters, workers: int) -> None:
        self._learner = (rows, feature_names, parameters)
        self._executor: ProcessPoolExecutor | None = None
        if workers > 1:
            # spawn, not fork: a fork copies OpenMP's threads in a state that may hang
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(workers, context, _start_worker, self._learner)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def map(self, method: str, chosen: Sequence[Week]) -> Iterator[Any]:
        """`method` of the learner on the usable rows of each week."""
        if self._executor is not None:
            return self._executor.map(partial(_call, method), chosen)
        learner = Learner(*self._learner)
        return (_apply(learner, method, week) for week in chosen)


_worker: Learner | None = None


def _start_worker(rows: Rows, feature_names: tuple[str, ...], parameters: FitParameters) -> None:
    global _worker
    _worker = Learner(rows, feature_names, parameters)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End this process when its parent is gone, killed ones included: a worker must not outlive the run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _apply(learner: Learner, method: str, week: Week) -> Any:
    return getattr(learner, method)(usable(learner.rows, week, learner.parameters.training_years))


def _call(method: str, week: Week) -> Any:
    if _worker is None:
        raise BuildError("a training worker was called before it was started")
    return _apply(_worker, method, week)
