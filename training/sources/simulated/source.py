"""The simulated market as a source of records, with a few erroneous rows to be caught at the door."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from quant50.groups import ETF_GROUPS, SECTORS
from training.sources.records import COLUMNS, Batch
from training.sources.simulated.errors import bad_actions, bad_bars
from training.sources.simulated.market import SimulatedMarket, sessions_of, simulate, stock_tickers
from training.sources.simulated.parameters import MarketParameters
from training.sources.simulated.series import factors, treasury_bill, vix

TICKERS_PER_BATCH = 20


@dataclass(frozen=True)
class SimulatedSource:
    """A simulated market as a `training.sources.records.Source`.

    Attributes
    ----------
    parameters : size, seed and signal
    erroneous : whether to add the erroneous rows; `errors` tells how many of each kind
    """

    parameters: MarketParameters = field(default_factory=MarketParameters)
    erroneous: bool = True

    @property
    def name(self) -> str:
        """Short name of the source."""
        return "simulated"

    @property
    def simulated(self) -> bool:
        """Always true."""
        return True

    @property
    def description(self) -> str:
        """One line for every page made from this market."""
        return self.parameters.description

    @property
    def as_of(self) -> date:
        """Last session of the market."""
        return date.fromisoformat(str(sessions_of(self.parameters)[-1]))

    @property
    def errors(self) -> dict[str, int]:
        """Number of erroneous rows of each kind; all of them should be rejected, and nothing else."""
        if not self.erroneous:
            return {}
        market = simulate(self.parameters)
        kinds = [kind for kind, _ in bad_bars(self.parameters, market)]
        kinds += [kind for kind, _ in bad_actions(self.parameters, market)]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def fingerprint(self) -> str:
        """SHA-256 of the parameters, this package's code and the libraries' versions: the records follow."""
        digest = hashlib.sha256(repr((self.parameters, self.erroneous, np.__version__, pd.__version__)).encode())
        for path in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()

    def batches(self) -> Iterator[Batch]:
        """All records: assets, actions, renames, holdings, series, then bars by groups of tickers."""
        market = simulate(self.parameters)
        actions = _actions(market)
        if self.erroneous:
            actions = pd.concat([actions, pd.DataFrame([row for _, row in bad_actions(self.parameters, market)])])
        yield _batch("assets", "all", _assets(market))
        yield _batch("actions", "all", actions.sort_values(["ticker", "date"], kind="stable"))
        yield _batch("renames", "all", _renames(market))
        yield _batch("index_holdings", "all", _holdings(market))
        yield _batch("rates", "all", treasury_bill(self.parameters, market))
        yield _batch("vix", "all", vix(self.parameters, market))
        yield _batch("factors", "all", factors(self.parameters, market))
        bars = _bars(market)
        if self.erroneous:
            bars = pd.concat([bars, pd.DataFrame([row for _, row in bad_bars(self.parameters, market)])])
            bars = bars.sort_values(["ticker", "date"], kind="stable")
        tickers = sorted(market.tickers)
        for start in range(0, len(tickers), TICKERS_PER_BATCH):
            group = tickers[start : start + TICKERS_PER_BATCH]
            inside = (bars.ticker >= group[0]) & (bars.ticker <= group[-1])
            yield _batch("bars", f"{group[0]}..{group[-1]}", bars[inside])


def _batch(table: str, key: str, frame: pd.DataFrame) -> Batch:
    return Batch(table, key, frame[list(COLUMNS[table])].reset_index(drop=True))


def _bars(market: SimulatedMarket) -> pd.DataFrame:
    """Bars sorted by ticker and session."""
    order = np.argsort(market.tickers)
    present = np.isfinite(market.close[:, order]).T
    column, row = np.nonzero(present)
    values = {name: getattr(market, name)[row, order[column]] for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame({"ticker": np.array(market.tickers)[order][column], "date": _days(market, row), **values})
    frame["volume"] = frame.volume.astype("int64")
    return frame


def _actions(market: SimulatedMarket) -> pd.DataFrame:
    """Splits and dividends; a dividend is per NEW share where a split falls on the same day."""
    parts = []
    for kind, values, neutral in (("split", market.split, 1.0), ("dividend", market.dividend, 0.0)):
        row, column = np.nonzero(values != neutral)
        parts.append(
            pd.DataFrame(
                {
                    "ticker": np.array(market.tickers)[column],
                    "date": _days(market, row),
                    "kind": kind,
                    "value": values[row, column],
                    "note": "",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _assets(market: SimulatedMarket) -> pd.DataFrame:
    """One line a ticker; dates of its first and last bar."""
    rows = []
    for i, ticker in enumerate(market.tickers):
        traded = np.flatnonzero(np.isfinite(market.close[:, i]))
        stock = i < market.stocks
        gone = stock and market.company.last[i] < len(market.dates) - 1
        rows.append(
            {
                "ticker": ticker,
                "name": f"Simulated Company {i + 1:03d}" if stock else f"Simulated Fund {ticker}",
                "type": "stock" if stock else "etf",
                "sector": SECTORS[market.company.sector[i]] if stock else _fund_sector(ticker),
                "first_date": pd.Timestamp(market.dates[traded[0]]),
                "last_date": pd.Timestamp(market.dates[traded[-1]]),
                "delisting_note": "delisted at its last close (simulated)" if gone else None,
            }
        )
    return pd.DataFrame(rows)


def _fund_sector(ticker: str) -> str | None:
    return ETF_GROUPS[ticker] if ETF_GROUPS[ticker] in SECTORS else None


def _old_symbols(market: SimulatedMarket) -> list[str]:
    return stock_tickers(market.stocks, "T")


def _renames(market: SimulatedMarket) -> pd.DataFrame:
    """Renames; bars carry the last symbol throughout, as in ../shared/data."""
    old = _old_symbols(market)
    changed = np.flatnonzero(market.company.rename >= 0)
    return pd.DataFrame(
        {
            "ticker": [market.tickers[i] for i in changed],
            "date": _days(market, market.company.rename[changed]),
            "old_symbol": [old[i] for i in changed],
            "new_symbol": [market.tickers[i] for i in changed],
        }
    )


def _holdings(market: SimulatedMarket) -> pd.DataFrame:
    """Month-end holdings of the index; the symbol is that of the day."""
    review, stock = np.nonzero(market.members)
    old, rename = np.array(_old_symbols(market)), market.company.rename
    tickers = np.array(market.tickers)[stock]
    before = market.reviews[review] < rename[stock]
    return pd.DataFrame(
        {
            "date": _days(market, market.reviews[review]),
            "ticker": tickers,
            "symbol": np.where(before, old[stock], tickers),
            "name": [f"Simulated Company {i + 1:03d}" for i in stock],
            "sector": np.array(SECTORS)[market.company.sector[stock]],
            "weight": market.weights[review, stock],
        }
    )


def _days(market: SimulatedMarket, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(market.dates[rows].astype("datetime64[ns]"))
