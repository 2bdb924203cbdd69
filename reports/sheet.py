"""Drawing on a page: an embedded typeface, a small palette, text that never overflows, and how numbers are printed."""

from __future__ import annotations

import math
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import letter
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from quant50.errors import BuildError

WIDTH, HEIGHT = letter
MARGIN = 40.0
INK, MUTED, FAINT, RULE, PANEL = (HexColor(c) for c in ("#18242f", "#5d6b78", "#9aa5ae", "#cfd6db", "#f3f5f7"))
STRATEGY, BENCHMARK, LOSS, WARNING = (HexColor(c) for c in ("#0f4c81", "#a0a8af", "#b3261e", "#a65d00"))
STRATEGY_LIGHT = HexColor("#c9d9e8")
REGULAR, BOLD = "Report", "Report-Bold"
CONDENSED = 88.0
"""Horizontal scale of all text, per cent: DejaVu Sans is wide."""

Align = Literal["left", "right", "centre"]


@cache
def register_fonts() -> None:
    """Register DejaVu Sans, which matplotlib brings; embedded, so that every reader and printer shows the same page."""
    found = find_spec("matplotlib")
    if found is None or not found.submodule_search_locations:
        raise BuildError("matplotlib, whose fonts the report embeds, is not installed")
    folder = Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    for name, file in ((REGULAR, "DejaVuSans.ttf"), (BOLD, "DejaVuSans-Bold.ttf")):
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a text in points as `Sheet.text` draws it."""
    register_fonts()
    return float(pdfmetrics.stringWidth(text, BOLD if bold else REGULAR, size)) * CONDENSED / 100.0


def fit(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text if it is at most `width` points wide, else its longest beginning that is, with an ellipsis."""
    if text_width(text, size, bold) <= width:
        return text
    kept = len(text)
    while kept and text_width(text[:kept].rstrip() + "…", size, bold) > width:
        kept -= 1
    return text[:kept].rstrip() + "…"


class Sheet:
    """One page of a reportlab canvas; coordinates in points, y measured DOWN from the top edge."""

    def __init__(self, canvas: Any) -> None:
        register_fonts()
        self.canvas = canvas

    def text(
        self, x: float, y: float, text: str, size: float = 7.5, *, bold: bool = False, colour: Color = INK,
        align: Align = "left", width: float = math.inf,
    ) -> None:  # fmt: skip
        """Draw one line with its baseline at y, cut with an ellipsis beyond `width`; x is its left, right or centre."""
        text = fit(text, width, size, bold) if math.isfinite(width) else text
        shift = {"left": 0.0, "right": 1.0, "centre": 0.5}[align] * text_width(text, size, bold)
        line = self.canvas.beginText(x - shift, HEIGHT - y)
        line.setFont(BOLD if bold else REGULAR, size)
        line.setHorizScale(CONDENSED)
        line.setFillColor(colour)
        line.textOut(text)
        self.canvas.drawText(line)

    def paragraph(
        self, x: float, y: float, text: str, size: float, width: float, lines: int, colour: Color = INK
    ) -> float:
        """Draw words over at most `lines` lines, the last one cut with an ellipsis; the y below them."""
        words, leading = text.split(), size * 1.32
        for number in range(lines):
            taken = len(words)
            while taken > 1 and text_width(" ".join(words[:taken]), size) > width:
                taken -= 1
            if number == lines - 1:
                taken = len(words)
            if words:
                self.text(x, y, " ".join(words[:taken]), size, colour=colour, width=width)
                y += leading
            words = words[taken:]
        return y

    def figure(
        self, x: float, y: float, text: str, size: float, width: float, *,
        bold: bool = False, colour: Color = INK, align: Align = "right",
    ) -> None:  # fmt: skip
        """Draw a number, set smaller where it is wider than `width`: a number is never cut."""
        smaller = size * min(1.0, width / max(text_width(text, size, bold), 1e-9))
        self.text(x, y, text, smaller, bold=bold, colour=colour, align=align)

    def box(self, x: float, y: float, width: float, height: float, colour: Color) -> None:
        """Fill a rectangle whose top left corner is (x, y)."""
        self.canvas.setFillColor(colour)
        self.canvas.rect(x, HEIGHT - y - height, width, height, stroke=0, fill=1)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: Color = RULE, width: float = 0.5, dash: bool = False
    ) -> None:
        """Draw a straight line."""
        self.path([(x1, y1), (x2, y2)], colour, width, dash=dash)

    def path(
        self,
        points: list[tuple[float, float]],
        colour: Color,
        width: float = 1.0,
        *,
        dash: bool = False,
        fill: bool = False,
    ) -> None:
        """Draw a polyline, or fill the polygon it encloses."""
        path = self.canvas.beginPath()
        for step, (x, y) in enumerate(points):
            (path.lineTo if step else path.moveTo)(x, HEIGHT - y)
        self.canvas.setDash([2.0, 2.0] if dash else [])
        self.canvas.setLineJoin(1)
        self.canvas.setLineWidth(width)
        self.canvas.setStrokeColor(colour)
        self.canvas.setFillColor(colour)
        self.canvas.drawPath(path, stroke=int(not fill), fill=int(fill))

    def heading(self, x: float, y: float, width: float, title: str, note: str = "") -> None:
        """Section title with a rule under it and a note at its right."""
        self.text(x, y, title, 9, bold=True)
        room = width - text_width(title, 9, True) - 10
        self.text(x + width, y, note, 7, colour=MUTED, align="right", width=room)
        self.line(x, y + 4, x + width, y + 4, INK, 0.7)


NONE = "–"
"""What stands where there is no figure."""


def percent(value: float, digits: int = 2, sign: bool = False) -> str:
    """A fraction as per cent with a true minus sign; a dash for NaN.

    >>> percent(-0.01234), percent(0.5, 0, sign=True), percent(float("nan"))
    ('−1.23%', '+50%', '–')
    """
    return number(100.0 * value, digits, sign) + "%" if math.isfinite(value) else NONE


def number(value: float, digits: int = 2, sign: bool = False) -> str:
    """A number with thousands separated and a true minus sign, no minus before a printed zero; a dash for NaN.

    >>> number(-1234.5, 1), number(-0.001), number(0.0, sign=True)
    ('−1,234.5', '0.00', '0.00')
    """
    if not math.isfinite(value):
        return NONE
    text = f"{abs(value):,.{digits}f}"
    nothing = not any(digit in "123456789" for digit in text)
    return text if nothing else ("−" if value < 0 else "+" if sign else "") + text


def dollars(value: float, digits: int = 0, sign: bool = False) -> str:
    """An amount of USD.

    >>> dollars(-1234.56), dollars(2e6, sign=True)
    ('−$1,235', '+$2,000,000')
    """
    text = number(value, digits, sign)
    return text if text == NONE else (text[0] + "$" + text[1:] if text[0] in "+−" else "$" + text)


def day(value: date) -> str:
    """A date as 4 March 2021.

    >>> day(date(2021, 3, 4))
    '4 March 2021'
    """
    return f"{value.day} {value:%B %Y}"
