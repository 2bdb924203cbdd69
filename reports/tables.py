"""Tables on a sheet: columns of given width, numbers aligned at the right, cells cut rather than overflowing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reports.sheet import FAINT, INK, LOSS, MUTED, NONE, RULE, STRATEGY, Align, Sheet, percent

ROW = 10.6
"""Height of a row in points."""
SIZE = 7.2
AFTER_NUMBER = 14.0
"""Indent of a text cell that follows a number, which is flush with its column's right edge."""
Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: title, width in points and how a row's cell is printed; numbers are aligned right."""

    title: str
    width: float
    show: Callable[[Row], str]
    align: Align = "left"
    bold: bool = False


def draw_table(sheet: Sheet, x: float, y: float, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> float:
    """Draw a head and one line a row from y on; the y under the last row."""
    _line(sheet, x, y, [(column.title, column, False) for column in columns], size=6.2, head=True)
    y += 1.5
    width = sum(column.width for column in columns)
    for number, row in enumerate(rows):
        y += ROW
        _line(sheet, x, y, [(column.show(row), column, column.bold) for column in columns], size=SIZE)
        if number < len(rows) - 1:
            sheet.line(x, y + 3, x + width, y + 3, RULE, 0.25)
    return y + 3


def _line(
    sheet: Sheet, x: float, y: float, cells: Sequence[tuple[str, Column[Row], bool]], size: float, head: bool = False
) -> None:
    colour, indent = MUTED if head else INK, 0.0
    for text, column, bold in cells:
        if column.align == "right":
            sheet.figure(x + column.width, y, text, size, column.width - 5, bold=bold, colour=colour)
            indent = AFTER_NUMBER
        else:
            room = column.width - indent - 5
            sheet.text(x + indent, y, text, size, bold=bold, colour=colour, align=column.align, width=room)
            indent = 0.0
        x += column.width


@dataclass(frozen=True)
class Bar:
    """A weight beside its cap, both fractions; `cap` None where there is none."""

    label: str
    weight: float
    cap: float | None


def draw_bars(sheet: Sheet, x: float, y: float, width: float, bars: Sequence[Bar], label_width: float = 92.0) -> float:
    """Weights as bars with a tick at each cap, on one scale; weight and cap in figures at the right. The y below."""
    weight_at, room = x + width - 26, width - label_width - 58
    scale = room / max([bar.weight for bar in bars] + [bar.cap or 0.0 for bar in bars] + [1e-9])
    for text, place in (("Weight", weight_at), ("Cap", x + width)):
        sheet.text(place, y, text, 6.2, colour=MUTED, align="right")
    y += 1.5
    for bar in bars:
        y += ROW
        over = bar.cap is not None and bar.weight > bar.cap
        colour = FAINT if bar.weight <= 0 else LOSS if over else INK
        sheet.text(x, y, bar.label, SIZE, colour=colour, width=label_width - 4)
        sheet.box(x + label_width, y - 5.6, max(bar.weight, 0.0) * scale, 6.0, LOSS if over else STRATEGY)
        if bar.cap is not None:
            sheet.line(x + label_width + bar.cap * scale, y - 7, x + label_width + bar.cap * scale, y + 1.8, INK, 0.9)
        sheet.text(weight_at, y, percent(bar.weight, 1), SIZE, colour=colour, align="right")
        sheet.text(x + width, y, NONE if bar.cap is None else percent(bar.cap, 0), SIZE, colour=MUTED, align="right")
    return y + 3
