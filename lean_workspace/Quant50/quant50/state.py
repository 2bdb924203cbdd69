"""What the strategy remembers from one decision to the next: small, explicit, by ticker, and storable as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any

from quant50.errors import DataError


@dataclass(frozen=True)
class Mark:
    """Total-return index of a held name since its entry (1 at the entry's fill) and the index's maximum."""

    index: float = 1.0
    maximum: float = 1.0

    def __post_init__(self) -> None:
        """Check that the maximum is one."""
        if not (isfinite(self.maximum) and 0 <= self.index <= self.maximum):
            raise DataError(f"state: index {self.index} must lie between 0 and its maximum {self.maximum}")


@dataclass(frozen=True)
class State:
    """State after a decision. Dates are ISO text ('' = none), so that a missed session is counted, not lost.

    Attributes
    ----------
    last_decision : session of the last decision
    peak : highest equity so far, USD
    guard_peak : the drawdown guard's peak, USD; falls to the equity of a reset
    zero_since : first session of the guard's present spell at exposure 0
    recovery_since : session of the guard's reset, while exposure returns
    marks : held tickers and their index since entry
    stopped : tickers in cool-off and the session of their stop
    leaving : held tickers that left the index and the session of their first forced sale
    """

    last_decision: str = ""
    peak: float = 0.0
    guard_peak: float = 0.0
    zero_since: str = ""
    recovery_since: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    stopped: Mapping[str, str] = field(default_factory=dict)
    leaving: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the peaks."""
        if not (isfinite(self.peak) and 0 <= self.guard_peak <= self.peak):
            raise DataError(f"state: guard peak {self.guard_peak} must lie between 0 and the peak {self.peak}")

    def to_dict(self) -> dict[str, Any]:
        """Plain built-in types, tickers in order, ready for JSON; `from_dict` gives the same state back.

        >>> State.from_dict(State(last_decision="2020-01-02", peak=2.0).to_dict()).peak
        2.0
        """
        record = asdict(self)
        return {key: dict(sorted(value.items())) if isinstance(value, dict) else value for key, value in record.items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> State:
        """State from `to_dict`'s record; DataError names what is missing, unknown or of the wrong kind."""
        names = {item.name for item in fields(cls)}
        if set(record) != names:
            raise DataError(f"state: keys {sorted(set(record) ^ names)} are missing or unknown")
        try:
            return cls(
                last_decision=str(record["last_decision"]),
                peak=float(record["peak"]),
                guard_peak=float(record["guard_peak"]),
                zero_since=str(record["zero_since"]),
                recovery_since=str(record["recovery_since"]),
                marks={str(ticker): Mark(**mark) for ticker, mark in record["marks"].items()},
                stopped={str(ticker): str(date) for ticker, date in record["stopped"].items()},
                leaving={str(ticker): str(date) for ticker, date in record["leaving"].items()},
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"state: malformed record ({error})") from error
