"""Equity and drawdown against the benchmark, as vector graphics on a sheet."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from reportlab.lib.colors import Color

from reports.metrics import drawdowns
from reports.sheet import BENCHMARK, LOSS, MUTED, PANEL, RULE, STRATEGY, STRATEGY_LIGHT, Sheet, number, percent

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]

AXIS, LABELS = 34.0, 70.0
"""Room in points left of a plot for the axis and right of it for the names of the lines."""


@dataclass(frozen=True)
class Plot:
    """Where a plot lies on its sheet, and the range of values it shows."""

    x: float
    y: float
    width: float
    height: float
    low: float
    high: float

    def down(self, value: float) -> float:
        """Height on the sheet of a value."""
        return self.y + self.height * (self.high - value) / (self.high - self.low)

    def points(self, values: Floats) -> list[tuple[float, float]]:
        """A series (T,) spread over the whole width."""
        step = self.width / max(len(values) - 1, 1)
        return [(self.x + i * step, self.down(float(value))) for i, value in enumerate(values)]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values inside [low, high], at most `most`, a step of 1, 2, 2.5 or 5 times a power of ten apart.

    >>> ticks(0.93, 1.27)
    [1.0, 1.1, 1.2]
    """
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        step = factor * scale
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [round(i * step, 12) for i in range(first, last + 1)]
    return []


def date_ticks(dates: Dates, most: int = 10) -> list[tuple[int, str]]:
    """Rows and labels of the first session of each year, quarter, month or week, the finest with at most `most`.

    A period that began before the first session gets no tick.

    >>> date_ticks(np.arange("2020-01-20", "2020-03-10", dtype="datetime64[D]"), most=3)
    [(12, 'Feb 2020'), (41, 'Mar 2020')]
    """
    months = dates.astype("datetime64[M]").astype(int)
    weeks = (dates.astype("datetime64[D]").astype(int) + 3) // 7
    chosen: list[tuple[int, str]] = []
    for periods, style in (
        (months // 60, "%Y"),
        (months // 12, "%Y"),
        (months // 3, "%b %Y"),
        (months, "%b %Y"),
        (weeks, "%-d %b"),
    ):
        rows = np.flatnonzero(np.diff(periods)) + 1
        if 1 <= len(rows) <= most:
            chosen = [(int(row), dates[row].item().strftime(style)) for row in rows]
    return chosen


def money(value: float, step: float, largest: float) -> str:
    """A level of USD for an axis, with the digits that `step` needs, in the unit that suits the axis's `largest` level.

    >>> money(1.05e6, 5e4, 1.2e6), money(950e3, 5e4, 1.2e6), money(950e3, 5e4, 980e3), money(800.0, 100.0, 900.0)
    ('$1.05M', '$0.95M', '$950k', '$800')
    """
    units = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
    unit, letter = next((pair for pair in units if largest >= pair[0] * (10.0 if pair[0] == 1e3 else 1.0)), (1.0, ""))
    digits = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    if round(step / unit * 10**digits, 6) != round(step / unit * 10**digits):
        digits += 1
    return f"${number(value / unit, digits)}{letter}"


def performance_chart(
    sheet: Sheet, x: float, y: float, width: float, height: float, dates: Dates, strategy: Floats, benchmark: Floats,
    trigger: float, name: str = "Quant50", benchmark_name: str = "SPY",
) -> None:  # fmt: skip
    """Draw levels (T,) in USD above, drawdowns below, with a dashed line at the drawdown −`trigger` (a fraction)."""
    left, inner = x + AXIS, width - AXIS - LABELS
    if len(dates) < 2:
        sheet.box(x, y, width, height, PANEL)
        sheet.text(
            x + width / 2, y + height / 2, "The chart begins with the second session.", 8, colour=MUTED, align="centre"
        )
        return
    upper, gap = 0.62 * height, 12.0
    both = np.concatenate([strategy, benchmark])
    top = float(both.max())
    pad = 0.06 * max(float(np.ptp(both)), 1e-3 * top)
    levels = Plot(left, y, inner, upper, float(both.min()) - pad, top + pad)
    marks = ticks(levels.low, levels.high)
    step = marks[1] - marks[0] if len(marks) > 1 else levels.high - levels.low
    _frame(sheet, levels, dates, marks, lambda value: money(value, step, top))
    falls, benchmark_falls = drawdowns(strategy), drawdowns(benchmark)
    deepest = min(float(falls.min()), float(benchmark_falls.min()), -0.02)
    lower = Plot(left, y + upper + gap, inner, height - upper - gap - 10, 1.12 * deepest, 0.0)
    _frame(sheet, lower, dates, ticks(lower.low, 0.0, 4), lambda value: percent(value, 0), labels=True)
    sheet.path([(lower.x, lower.y), *lower.points(falls), (lower.x + inner, lower.y)], STRATEGY_LIGHT, fill=True)
    if trigger < -lower.low:
        sheet.line(lower.x, lower.down(-trigger), lower.x + inner, lower.down(-trigger), LOSS, 0.6, dash=True)
    for plot, own, other in ((levels, strategy, benchmark), (lower, falls, benchmark_falls)):
        sheet.path(plot.points(other), BENCHMARK, 0.8)
        sheet.path(plot.points(own), STRATEGY, 1.1)
    last = 10.0 ** (math.floor(math.log10(top)) - 2)
    _names(
        sheet, levels, [(name, strategy, STRATEGY), (benchmark_name, benchmark, MUTED)], lambda v: money(v, last, top)
    )
    _names(sheet, lower, [(name, falls, STRATEGY), (benchmark_name, benchmark_falls, MUTED)], lambda v: percent(v, 1))


def _frame(
    sheet: Sheet, plot: Plot, dates: Dates, marks: list[float], show: Callable[[float], str], labels: bool = False
) -> None:
    """Grid lines with their values at the left; time ticks, with labels under the plot if asked for."""
    for value in marks:
        sheet.line(plot.x, plot.down(value), plot.x + plot.width, plot.down(value), RULE, 0.4)
        sheet.text(plot.x - 4, plot.down(value) + 2.3, show(value), 6.5, colour=MUTED, align="right")
    bottom = plot.y + plot.height
    for row, label in date_ticks(dates):
        across = plot.x + plot.width * row / (len(dates) - 1)
        sheet.line(across, plot.y, across, bottom, RULE, 0.4)
        if labels:
            sheet.text(across, bottom + 8, label, 6.5, colour=MUTED, align="centre")
    sheet.line(plot.x, bottom, plot.x + plot.width, bottom, MUTED, 0.5)


def _names(
    sheet: Sheet, plot: Plot, lines: list[tuple[str, Floats, Color]], show: Callable[[float], str], apart: float = 9.0
) -> None:
    """Name and last value of each line at its end, pushed apart where they would overlap."""
    heights = [plot.down(float(values[-1])) for _, values, _ in lines]
    if abs(heights[0] - heights[1]) < apart:
        middle = min(max(sum(heights) / 2, plot.y + apart / 2), plot.y + plot.height - apart / 2)
        sign = 1.0 if heights[0] > heights[1] else -1.0
        heights = [middle + sign * apart / 2, middle - sign * apart / 2]
    for (name, values, colour), height in zip(lines, heights, strict=True):
        sheet.text(plot.x + plot.width + 5, height + 2.4, name, 7, bold=True, colour=colour)
        sheet.text(plot.x + plot.width + LABELS, height + 2.4, show(float(values[-1])), 7, colour=colour, align="right")
