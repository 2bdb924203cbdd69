"""The first page of the daily report: what happened today, what is held, and why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quant50.groups import MARKET
from reports.charts import performance_chart
from reports.daily_figures import RUNGS, VOLATILITY_SESSIONS, Day
from reports.daily_tables import (
    INNER,
    TABLE_ROWS,
    TOP_HOLDINGS,
    TOP_ORDERS,
    holdings_columns,
    order_columns,
    order_note,
)  # fmt: skip
from reports.sheet import (
    INK,
    LOSS,
    MARGIN,
    MUTED,
    NONE,
    PANEL,
    RULE,
    WARNING,
    WIDTH,
    Sheet,
    day,
    dollars,
    number,
    percent,
    text_width,
)  # fmt: skip
from reports.tables import draw_bars, draw_table

LEFT = 306.0
"""Width of the table of holdings."""


def first_page(sheet: Sheet, current: Day) -> None:
    """Draw everything between head and foot of the first page."""
    manifest = current.run.manifest
    session = f"session {len(current.run.equity):,} since {day(current.run.first_date.item())}"
    costs = f"{number(manifest.cost_multiplier, 1)} × costs"
    line = f"Run {current.run.name}  ·  {session}  ·  model {manifest.model}  ·  {costs}"
    sheet.text(MARGIN, 63, line, 7.5, colour=MUTED, width=INNER)
    _headline(sheet, current, 71)
    path = current.performance
    guard = manifest.parameters.drawdown_limit
    note = f"{MARKET} with dividends, from the same cash; dashed: drawdown guard at {percent(-guard, 0)}"
    sheet.heading(MARGIN, 161, INNER, "Equity and drawdown", note)
    dates = current.run.dates[-len(path.strategy_levels) :]
    own, market = path.strategy_levels[-len(dates) :], path.benchmark_levels[-len(dates) :]
    performance_chart(sheet, MARGIN, 172, INNER, 194, dates, own, market, guard)
    _holdings(sheet, MARGIN, 382, LEFT, current)
    right = INNER - LEFT - 18
    sheet.heading(WIDTH - MARGIN - right, 382, right, "Groups against caps")
    draw_bars(sheet, WIDTH - MARGIN - right, 394, right, current.groups())
    _decision(sheet, 580, current)
    _orders(sheet, 631, current)


def _headline(sheet: Sheet, current: Day, top: float) -> None:
    """Six figures with the benchmark beside each, and a line of smaller ones."""
    limits, step = current.run.manifest.parameters, INNER / 6
    gains = {since: current.gain(since) for since in ("day", "start", "year")}
    deepest, now, volatility = current.maximum_drawdown, current.drawdown, current.volatility
    tiles = [
        (title, gains[since].own, percent(gains[since].own, sign=True), dollars(current.profit(since), sign=True),
         percent(gains[since].benchmark, sign=True))
        for title, since in (("Day", "day"), ("Since start", "start"), ("Year to date", "year"))
    ]  # fmt: skip
    tiles += [
        ("Maximum drawdown", deepest.own, percent(deepest.own), f"now {percent(now.own)}", percent(deepest.benchmark)),
        (f"Volatility, {VOLATILITY_SESSIONS} sessions", 0.0, percent(volatility.own, 1),
         f"limit {percent(limits.volatility_limit, 1)} a year",
         percent(volatility.benchmark, 1)),
        (f"Turnover, limit {percent(limits.turnover_limit, 0)}", 0.0, percent(current.turnover, 1),
         f"{number(current.annual_turnover, 1)} × a year", "held, 0.0%"),
    ]  # fmt: skip
    sheet.box(MARGIN, top, INNER, 58, PANEL)
    for place, (title, signed, value, second, benchmark) in enumerate(tiles):
        x = MARGIN + place * step
        if place:
            sheet.line(x, top + 7, x, top + 51, RULE)
        room = step - 14
        sheet.text(x + 8, top + 12, title, 6.8, colour=MUTED, width=room)
        colour = LOSS if signed < 0 else INK
        sheet.figure(x + 8, top + 29, value, 14.5, room, bold=True, colour=colour, align="left")
        sheet.figure(x + 8, top + 40, second, 7.2, room, align="left")
        sheet.figure(x + 8, top + 51, f"{MARKET}  {benchmark}", 7.2, room, colour=MUTED, align="left")
    _facts(sheet, current, top + 71)


def _facts(sheet: Sheet, current: Day, y: float) -> None:
    row, size = current.row, 7.0
    ratio, error = current.sharpe
    sharpe = f"{number(ratio.own)} ± {number(error)}" if math.isfinite(error) else NONE
    facts = [
        ("Equity", dollars(row["equity"])),
        ("Cash", f"{dollars(row['cash'])} ({percent(row['cash'] / row['equity'], 1)})"),
        ("Holdings", f"{row['positions']} of {current.run.manifest.parameters.maximum_holdings}"),
        ("Sharpe", f"{sharpe}; {MARKET} {number(ratio.benchmark)}"),
        ("Beta", number(current.beta)),
        ("Guard lets in", percent(row["guard_exposure"], 0)),
    ]
    widths = [text_width(title, size) + 4 + text_width(value, size, bold=True) for title, value in facts]
    gap = (INNER - 16 - sum(widths)) / (len(facts) - 1)
    x = MARGIN + 8.0
    for (title, value), width in zip(facts, widths, strict=True):
        sheet.text(x, y, title, size, colour=MUTED)
        sheet.text(x + text_width(title, size) + 4, y, value, size, bold=True)
        x += width + gap


def _holdings(sheet: Sheet, x: float, y: float, width: float, current: Day) -> None:
    rows: list[Any] = list(current.holdings.itertuples())
    shown = rows[:TOP_HOLDINGS]
    note = f"{len(rows)} names, {percent(sum(row.weight for row in rows), 1)} of equity"
    sheet.heading(x, y, width, "Largest holdings", note)
    if not rows:
        sheet.text(x, y + 20, "Nothing was held at this close.", 7.5, colour=MUTED)
        return
    below = draw_table(sheet, x, y + 12, holdings_columns(current, width), shown)
    if len(rows) > len(shown):
        rest = percent(sum(row.weight for row in rows[len(shown) :]), 1)
        sheet.text(x, below + 8, f"and {len(rows) - len(shown)} more, {rest} of equity: page 2", 7, colour=MUTED)


def _decision(sheet: Sheet, y: float, current: Day) -> None:
    """Three short notes: the model in force, how the optimiser decided, and which rules acted."""
    decision, limits = current.decision, current.run.manifest.parameters
    width = (INNER - 2 * 14) / 3
    model, solver, warning = ["none"], ["No decision at this close."], False
    if decision is not None:
        if decision["model"]:
            age = int((np.datetime64(current.date) - np.datetime64(decision["model"])) / np.timedelta64(1, "D"))
            model = [
                f"{current.run.manifest.model}, in force since {decision['model']}",
                f"{age} days old (refused after {limits.model_maximum_age_days})",
            ]
        rung = int(decision["rung"])
        known = RUNGS[rung] if rung < len(RUNGS) else "unknown"
        warning = rung > 1 or bool(decision["solve_error"])
        solver = [
            f"Rung {rung} of {len(RUNGS) - 1}, {known}",
            str(decision["solve_error"] or f"solver: {decision['status']}"),
            f"predicted volatility {percent(decision['predicted_volatility'], 1)}, "
            f"exposure limit {percent(decision['exposure_limit'], 0)}",
        ]
    notes = [("Model in force", model), ("Decision at this close", solver), ("Rules that acted", _rule_lines(current))]
    for place, (title, lines) in enumerate(notes):
        x = MARGIN + place * (width + 14)
        sheet.heading(x, y, width, title)
        colour = WARNING if warning and place == 1 else INK
        for step, text in enumerate(lines):
            sheet.text(x, y + 14 + 9.6 * step, text, 7.2, colour=colour, width=width)


def _rule_lines(current: Day) -> list[str]:
    """The rules that acted, the most frequent first: at most three lines, each rule with its count."""
    rules = sorted(current.rules.items(), key=lambda rule: (-len(rule[1]), rule[0]))
    lines = [f"{name} ({len(tickers)}): {', '.join(ticker for ticker in tickers if ticker)}" for name, tickers in rules]
    if len(rules) > 3:
        lines[2:] = ["also " + ", ".join(f"{name} ({len(tickers)})" for name, tickers in rules[2:])]
    return [line.removesuffix(": ") for line in lines] or ["none"]


def _orders(sheet: Sheet, y: float, current: Day) -> None:
    orders, shown = current.orders, current.orders[:TOP_ORDERS]
    sheet.heading(MARGIN, y, INNER, "Orders executed", order_note(orders) if orders else "")
    below = y + 9.0
    if orders:
        below = draw_table(sheet, MARGIN, y + 12, order_columns(), shown)
    parts = [] if orders else ["No order was executed in this session."]
    if len(orders) > len(shown):
        rest = dollars(sum(order.value for order in orders[len(shown) :]))
        behind = 2 + math.ceil(max(len(current.holdings), 0) / TABLE_ROWS) * (len(current.holdings) > TOP_HOLDINGS)
        parts.append(f"and {len(orders) - len(shown)} more, worth {rest}: from page {behind}.")
    if current.unfilled:
        parts.append(f"{current.unfilled} sent for this open not filled.")
    parts.append(f"{current.leaving} decided at this close for the next open.")
    sheet.text(MARGIN, below + 8, "  ".join(parts), 7, colour=MUTED, width=INNER)
