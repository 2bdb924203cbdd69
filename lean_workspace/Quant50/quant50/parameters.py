"""The strategy's parameters: one frozen, validated record; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from quant50.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Every number of the strategy; all may be moved by `lean cloud optimize`.

    Fractions are fractions of equity; volatilities are annual unless a name says otherwise; sessions are trading days.

    Raises
    ------
    ParameterError
        A value is outside its range.
    """

    # universe
    candidates: int = 300
    keep_rank: int = 350
    forced_exit_sessions: int = 5
    # portfolio
    maximum_holdings: int = 50
    stock_cap: float = 0.05
    etf_cap: float = 0.15
    sector_cap: float = 0.25
    unknown_sector_cap: float = 0.05
    broad_equity_cap: float = 0.25
    bond_cap: float = 0.30
    gold_cap: float = 0.10
    turnover_limit: float = 0.15
    volatility_limit: float = 0.10
    minimum_cash: float = 0.01
    # expected return and objective
    horizon: int = 5
    market_premium: float = 0.04
    risk_aversion: float = 1.0
    uncertainty_aversion: float = 1.0
    score_clip: float = 3.0
    cost_multiplier: float = 1.0
    # covariance
    covariance_sessions: int = 252
    covariance_factors: int = 20
    # stop-loss
    stop_multiple: float = 3.0
    stop_sessions: int = 5
    stop_floor_fraction: float = 0.5
    cool_off_sessions: int = 10
    # drawdown guard
    drawdown_limit: float = 0.10
    drawdown_ramp: float = 0.05
    guard_reset_sessions: int = 21
    guard_recovery_step: float = 0.25
    guard_recovery_sessions: int = 5
    # training
    training_years: float = 5.0
    model_maximum_age_days: int = 35

    def __post_init__(self) -> None:
        """Check every range."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not value >= 0:
                raise ParameterError(f"parameter {field.name} must be zero or more, not {value}")
        for name in (
            "stock_cap", "etf_cap", "sector_cap", "unknown_sector_cap", "broad_equity_cap", "bond_cap", "gold_cap",
            "turnover_limit", "minimum_cash", "drawdown_limit", "stop_floor_fraction", "guard_recovery_step",
        ):  # fmt: skip
            if getattr(self, name) > 1:
                raise ParameterError(f"parameter {name} is a fraction and must not exceed 1, not {getattr(self, name)}")
        for name in ("candidates", "maximum_holdings", "horizon", "forced_exit_sessions", "covariance_factors"):
            if getattr(self, name) < 1:
                raise ParameterError(f"parameter {name} must be at least 1, not {getattr(self, name)}")
        if self.keep_rank < self.candidates:
            raise ParameterError("parameter keep_rank must be at least candidates")
        if self.drawdown_ramp > self.drawdown_limit:
            raise ParameterError("parameter drawdown_ramp must not exceed drawdown_limit")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Parameters:
        """Parameters from names and values, numbers or their text (LEAN hands text); unknown names are refused.

        >>> Parameters.from_mapping({"maximum_holdings": "40"}).maximum_holdings
        40
        >>> Parameters.from_mapping({"holdings": 40})
        Traceback (most recent call last):
        ...
        quant50.errors.ParameterError: unknown parameter: holdings
        """
        kinds = {field.name: field.type for field in fields(cls)}
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            raise ParameterError(f"unknown parameter: {', '.join(unknown)}")
        converted: dict[str, int | float] = {}
        for name, value in values.items():
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise ParameterError(f"parameter {name} must be a number, not {value!r}") from None
            if kinds[name] == "int":
                if number != int(number):
                    raise ParameterError(f"parameter {name} must be a whole number, not {value!r}")
                number = int(number)
            converted[name] = number
        return cls(**converted)  # type: ignore[arg-type]
