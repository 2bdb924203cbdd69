"""The daily report `diario_YYYYMMDD.pdf`: one page on what happened, pages behind it for what does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from reportlab.lib.pagesizes import letter
from reportlab.pdfgen.canvas import Canvas

from reports.daily_figures import Day
from reports.daily_page import first_page
from reports.daily_tables import FOOT, INNER, further_pages
from reports.run_folder import Run
from reports.sheet import INK, MARGIN, MUTED, PANEL, RULE, WARNING, WIDTH, Sheet, day


def write_daily(run: Run, folder: Path, date: np.datetime64 | None = None) -> Path:
    """Write the report of one session (the last by default) and return its path; equal input gives equal bytes.

    Raises
    ------
    DataError
        `date` is no session of the run.
    """
    current = Day(run if date is None else run.until(date))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"diario_{current.date:%Y%m%d}.pdf"
    partial = path.with_suffix(".partial")
    canvas = Canvas(str(partial), pagesize=letter, invariant=1, pageCompression=1)
    canvas.setTitle(f"Quant50 daily report, {day(current.date)}")
    canvas.setAuthor("Quant50")
    canvas.setSubject("simulated market" if run.manifest.simulated else run.manifest.description)
    pages = [lambda sheet: first_page(sheet, current), *further_pages(current)]
    for number_, page in enumerate(pages, start=1):
        sheet = Sheet(canvas)
        _frame(sheet, current, number_, len(pages))
        page(sheet)
        canvas.showPage()
    canvas.save()
    os.replace(partial, path)
    return path


def _frame(sheet: Sheet, current: Day, page: int, pages: int) -> None:
    """What every page carries: mark of a simulated market, title, source and provenance, page number."""
    manifest = current.run.manifest
    if manifest.simulated:
        sheet.box(0, 0, WIDTH, 16, WARNING)
        mark = "SIMULATED MARKET  ·  no price on this page was ever traded"
        sheet.text(WIDTH / 2, 11, mark, 7.5, bold=True, colour=PANEL, align="centre")
    sheet.text(MARGIN, 42, "Quant50", 17, bold=True)
    sheet.text(MARGIN + 76, 42, "Daily report", 17, colour=MUTED)
    sheet.text(WIDTH - MARGIN, 42, f"{current.date:%A}, {day(current.date)}", 12, bold=True, align="right")
    sheet.line(MARGIN, 51, WIDTH - MARGIN, 51, INK, 1.0)
    sheet.line(MARGIN, FOOT, WIDTH - MARGIN, FOOT, RULE, 0.5)
    below = sheet.paragraph(MARGIN, FOOT + 10, f"Data source: {manifest.description}", 6.5, INNER - 70, 2, MUTED)
    versions = (f"data {manifest.data_hash[:16]}", f"code {manifest.commit[:12]}", f"seed {manifest.seed}")
    sheet.text(
        MARGIN, below, "  ·  ".join([*versions, f"trials {manifest.trials}"]), 6.5, colour=MUTED, width=INNER - 70
    )
    sheet.text(WIDTH - MARGIN, FOOT + 10, f"Page {page} of {pages}", 7, colour=MUTED, align="right")
