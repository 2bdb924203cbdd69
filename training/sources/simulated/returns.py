"""Total-return indices of the stocks, at the open and at the close, and the planted signal.

Prices move by `reference × shock`, where the reference is an average of closes at least six sessions old (the retarded
volatility model of Bouchaud, Matacz and Potters 2001). Over a label's span the move of a price is then a sum of
symmetric shocks whose scales are known at its start: its mean, relative to the open it starts from, is the same drift
for every stock, AND it is symmetric around that drift. A product of returns could have one of the two, not both: equal
means would give volatile stocks lower medians, equal medians higher means.
The drift is the same for every stock whatever its beta: a market premium times beta would be a signal.

Part of each day's intraday move is closing pressure that reverts by the next open. It gives daily returns their slight
negative autocorrelation; a label starts at that open and sees nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.sources.simulated.parameters import MarketParameters, stream
from training.sources.simulated.volatility import DELAY, Floats, Shocks

LABEL_SESSIONS: Final[int] = 5

TILT_PER_RANK_IC: Final[float] = 0.985
"""Expected label of a signal of one standard deviation, in units of σ·√5, per unit of rank IC. Measured on 16 seeds of
12 years with and without the signal on the same shocks; the forms of single seeds lie within 12 % of their mean."""

LARGEST_MOVE: Final[float] = 0.45
"""No overnight or intraday shock exceeds this fraction of the price, on either side."""


LARGEST_RATIO: Final[float] = 1.5
"""The reference stays within this factor of the newest close it may know: a crash must not feed on itself."""


@dataclass(frozen=True)
class Levels:
    """Total-return indices (dividends reinvested, no splits) of N stocks on T sessions, and the true signal.

    Attributes
    ----------
    open, close : (T, N)
    signal : (T, N) standardised score known at the close of t, NaN where its features are unknown; it moves the
        expected return from the open of t+1 to the open of t+6 in equal parts
    cut : shocks cut at `LARGEST_MOVE`
    """

    open: Floats
    close: Floats
    signal: Floats
    cut: int


def levels(parameters: MarketParameters, shock: Shocks) -> Levels:
    """Follow every stock through all sessions; one loop over sessions, vectorised over stocks."""
    p, (sessions, stocks) = parameters, shock.overnight.shape
    form = SignalForm.draw(p)
    night, day = (1.0 + p.drift) ** (0.5 / 252) * np.ones(2)
    memory = 0.5 ** (1.0 / p.reference_half_life)
    strength = p.signal * TILT_PER_RANK_IC / np.sqrt(LABEL_SESSIONS)
    opens, closes = np.ones((sessions, stocks)), np.ones((sessions, stocks))
    signal, pushes = np.full((sessions, stocks), np.nan), np.zeros((sessions, stocks))
    volatility = Rolling(stocks, 63)
    reference, average, pressure = np.ones(stocks), np.ones(stocks), np.zeros(stocks)
    close, tilt, cut = np.ones(stocks), np.zeros(stocks), 0
    for t in range(sessions):
        if t > DELAY:
            known = closes[t - DELAY]
            average = memory * average + (1.0 - memory) * known
            reference = np.clip(average, known / LARGEST_RATIO, known * LARGEST_RATIO)
        move, limit = reference * shock.overnight[t], LARGEST_MOVE * close
        bounded = np.clip(move, -limit, limit)
        cut += int((bounded != move).sum())
        opening = close * (night + 0.3 * tilt) - pressure + bounded
        tilt = pushes[max(t - LABEL_SESSIONS, 0) : t].sum(axis=0) / LABEL_SESSIONS
        move, limit = reference * shock.intraday[t], LARGEST_MOVE * opening
        bounded = np.clip(move, -limit, limit)
        cut += int((bounded != move).sum())
        previous, close = close, opening * (day + 0.7 * tilt) + bounded
        pressure = p.closing_pressure * bounded
        opens[t], closes[t] = opening, close
        deviation = volatility.add(close / previous - 1.0)
        if t >= 252:
            signal[t] = form(close / closes[t - 5], deviation, closes[t - 21] / closes[t - 252])
            pushes[t] = strength * deviation * signal[t]
    return Levels(opens, closes, signal, cut)


class Rolling:
    """Standard deviation over the last `length` values of each column, one row at a time."""

    def __init__(self, columns: int, length: int) -> None:
        """Start with a past of zeros."""
        self._rows = np.zeros((length, columns))
        self._next = 0

    def add(self, row: Floats) -> Floats:
        """Take one row; return the deviation of the last `length` rows, (columns,)."""
        self._rows[self._next] = row
        self._next = (self._next + 1) % len(self._rows)
        return np.asarray(self._rows.std(axis=0))


@dataclass(frozen=True)
class SignalForm:
    """The unknown function: a saturating reversal (or continuation), a bend in momentum, reversal times volatility.

    Attributes
    ----------
    weights : of the three terms (each of unit variance), signs included, drawn by the seed
    steepness : of the saturation, drawn by the seed
    """

    weights: tuple[float, float, float]
    steepness: float

    @classmethod
    def draw(cls, parameters: MarketParameters) -> SignalForm:
        """Draw the function of a seed; the signal's strength has no part in it."""
        generator = stream(parameters, "signal")
        signs = generator.choice([-1.0, 1.0], size=3)
        size = np.array([1.0, 0.45, 0.6]) * generator.uniform(0.85, 1.15, size=3)
        weights = signs * size / np.sqrt((size**2).sum())
        return cls((float(weights[0]), float(weights[1]), float(weights[2])), float(generator.uniform(2.0, 5.0)))

    def __call__(self, week: Floats, volatility: Floats, momentum: Floats) -> Floats:
        """Score of each stock, mean 0 and deviation 1, from its 5-session return, volatility and 12-1 momentum."""
        r, v, m = rank(week), rank(volatility), rank(momentum)
        terms = (np.tanh(self.steepness * r), m * m, r * v)
        score = sum(weight * _standard(term) for weight, term in zip(self.weights, terms, strict=True))
        return _standard(np.asarray(score))


def rank(values: Floats) -> Floats:
    """Cross-sectional rank in [−0.5, 0.5].

    >>> rank(np.array([3.0, 1.0, 2.0])).tolist()
    [0.5, -0.5, 0.0]
    """
    order = np.empty(len(values))
    order[np.argsort(values, kind="stable")] = np.arange(len(values))
    return order / (len(values) - 1) - 0.5


def _standard(values: Floats) -> Floats:
    """Values less their mean, over their standard deviation."""
    return np.asarray((values - values.mean()) / values.std())
