"""A run's folder `runs/<name>/`: written once as a whole, read back as one frozen record that has been checked."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant50.errors import DataError
from quant50.parameters import Parameters
from reports.run_tables import TABLES, check, read_table, write_table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Manifest:
    """What a run was made of: its market, parameters, versions, seed, commit, span and model.

    `names` maps tickers to company names and may be empty; `raw` is the file as read.
    """

    simulated: bool
    description: str
    data_hash: str
    parameters: Parameters
    seed: int
    commit: str
    start: str
    end: str
    initial_cash: float
    cost_multiplier: float
    model: str
    trials: int
    names: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Manifest:
        """Manifest from the contents of manifest.json; DataError names what is missing or wrong.

        The kind of model stands under `model`, as text or as a mapping with `kind`.
        """
        try:
            market, model = raw["market"], raw["model"]
            manifest = cls(
                simulated=market["simulated"],
                description=str(market["description"]),
                data_hash=str(market["data_hash"]),
                parameters=Parameters.from_mapping(raw["parameters"]),
                seed=int(raw["seed"]),
                commit=str(raw["commit"]),
                start=str(raw["start"]),
                end=str(raw["end"]),
                initial_cash=float(raw["initial_cash"]),
                cost_multiplier=float(raw["cost_multiplier"]),
                model=str(model["kind"] if isinstance(model, Mapping) else model),
                trials=int(raw["trials"]),
                names={str(ticker): str(name) for ticker, name in raw.get("names", {}).items()},
                raw=raw,
            )
        except KeyError as error:
            raise DataError(f"manifest.json lacks {error.args[0]!r}") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"manifest.json is malformed: {error}") from None
        if not isinstance(manifest.simulated, bool):
            raise DataError("manifest.json: market.simulated must be true or false")
        if not manifest.initial_cash > 0 or manifest.trials < 1:
            raise DataError("manifest.json: initial_cash must be above zero and trials at least 1")
        return manifest


@dataclass(frozen=True)
class Performance:
    """Returns per session (n,) of strategy, benchmark and T-bill, and the levels (n+1,) in USD behind the first two."""

    strategy: Floats
    benchmark: Floats
    tbill: Floats
    strategy_levels: Floats
    benchmark_levels: Floats


@dataclass(frozen=True)
class Run:
    """One run: manifest, metrics and the five tables of `reports.run_tables`, checked against each other."""

    name: str
    manifest: Manifest
    equity: pd.DataFrame = field(repr=False)
    orders: pd.DataFrame = field(repr=False)
    holdings: pd.DataFrame = field(repr=False)
    decisions: pd.DataFrame = field(repr=False)
    rules: pd.DataFrame = field(repr=False)
    metrics: Mapping[str, float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check each table, and that every row of the others falls on a session of the equity table."""
        for name in TABLES:
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.equity.empty:
            raise DataError(f"run {self.name} holds no session: its equity table is empty")
        sessions = self.equity["date"]
        for table, column in (
            ("orders", "decision_date"), ("orders", "fill_date"),
            ("holdings", "date"), ("decisions", "date"), ("rules", "date"),
        ):  # fmt: skip
            dates = getattr(self, table)[column].dropna()
            strange = dates[~dates.isin(sessions)]
            if len(strange):
                raise DataError(
                    f"{table}.{column} holds {strange.iloc[0]:%Y-%m-%d}, which is no session of the equity table"
                )

    @property
    def dates(self) -> NDArray[np.datetime64]:
        """Sessions (T,) datetime64[D]."""
        return self.equity["date"].to_numpy().astype("datetime64[D]")

    @property
    def first_date(self) -> np.datetime64:
        """First session."""
        return np.datetime64(self.dates[0])

    @property
    def last_date(self) -> np.datetime64:
        """Last session."""
        return np.datetime64(self.dates[-1])

    def column(self, table: str, name: str) -> Floats:
        """One column of numbers as an array."""
        return np.asarray(getattr(self, table)[name].to_numpy(dtype=np.float64))

    def performance(self) -> Performance:
        """Returns from the initial cash on: T of them, or T − 1 if the first session still stands at that cash."""
        start = self.manifest.initial_cash
        levels = [np.concatenate([[start], self.column("equity", name)]) for name in ("equity", "benchmark")]
        skip = int(all(math.isclose(path[1], start, rel_tol=1e-12) for path in levels))
        equity, benchmark = (path[skip:] for path in levels)
        returns = [path[1:] / path[:-1] - 1.0 for path in (equity, benchmark)]
        return Performance(returns[0], returns[1], self.column("equity", "tbill")[skip:], equity, benchmark)

    def until(self, date: np.datetime64) -> Run:
        """The run as it stood after the close of `date`: later rows dropped, later fills turned back into open orders.

        DataError when `date` is no session of the run.
        """
        if date not in self.dates:
            raise DataError(f"{date} is no session of run {self.name} ({self.first_date} to {self.last_date})")
        limit = pd.Timestamp(str(date))
        orders = self.orders[self.orders["decision_date"] <= limit].reset_index(drop=True)
        later = orders["fill_date"] > limit
        unfilled = dict(fill_date=pd.NaT, fill_price=math.nan, filled=0, slippage=0.0, fee=0.0, status="open")
        orders = orders.assign(**{name: orders[name].mask(later, value) for name, value in unfilled.items()})
        cut = {name: getattr(self, name) for name in TABLES if name != "orders"}
        kept = {name: frame[frame["date"] <= limit].reset_index(drop=True) for name, frame in cut.items()}
        return Run(self.name, self.manifest, orders=orders, **kept)


def read_run(folder: Path) -> Run:
    """Read and check a run folder; DataError with one sentence when it is missing or malformed."""
    if not folder.is_dir():
        raise DataError(f"there is no run folder {folder}")
    tables = {name: read_table(folder / f"{name}.parquet", name) for name in TABLES}
    metrics = {
        name: math.nan if value is None else float(value) for name, value in _json(folder / "metrics.json").items()
    }
    return Run(folder.resolve().name, Manifest.from_mapping(_json(folder / "manifest.json")), metrics=metrics, **tables)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path.name} is missing from {path.parent}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a JSON object")
    return content


def write_run(
    folder: Path,
    manifest: Mapping[str, Any],
    equity: pd.DataFrame,
    orders: pd.DataFrame,
    holdings: pd.DataFrame,
    decisions: pd.DataFrame,
    rules: pd.DataFrame,
    metrics: Mapping[str, float],
) -> None:
    """Write a run folder as a whole, replacing an earlier one; equal input gives equal bytes.

    Everything is checked, then written beside the folder and renamed into place, so that a reader never meets half a
    run. NaN metrics become null. Raises DataError before anything is touched when the input does not hold together.
    """
    tables = {"equity": equity, "orders": orders, "holdings": holdings, "decisions": decisions, "rules": rules}
    Run(folder.name, Manifest.from_mapping(manifest), metrics=metrics, **tables)
    partial, old = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "replaced"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, frame in tables.items():
        write_table(partial / f"{name}.parquet", name, frame)
    finite = {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
    for name, content in (("manifest.json", dict(manifest)), ("metrics.json", finite)):
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (partial / name).write_text(text + "\n", encoding="utf-8")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
