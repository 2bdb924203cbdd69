"""The tables of the daily report: holdings and orders, and the pages that show them whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reports.daily_figures import Day, Order
from reports.sheet import HEIGHT, MARGIN, WIDTH, Sheet, dollars, number, percent
from reports.tables import ROW, Column, draw_table

Page = Callable[[Sheet], None]

INNER = WIDTH - 2 * MARGIN
"""Width of a page between its margins."""
FOOT = HEIGHT - 52.0
"""Where the footer begins."""
TABLE_ROWS = int((FOOT - 100) / ROW)
"""Rows of a table that fill a page behind the first."""
TOP_HOLDINGS, TOP_ORDERS = 15, 7
"""Rows of the first page; what exceeds them stands on the pages behind it."""


def holdings_columns(current: Day, width: float) -> list[Column[Any]]:
    """Columns of the holdings over `width` points; company names where the manifest gives them."""
    names = current.run.manifest.names
    room = width - 34 - 36 - 96 - 40
    columns: list[Column[Any]] = [
        Column("Ticker", 40, lambda row: row.ticker, bold=True),
        Column("Name", room if names else 0.0, lambda row: names.get(row.ticker, "")),
        Column("Group", 96 if names else 96 + room, lambda row: row.group[0].upper() + row.group[1:]),
        Column("Weight", 34, lambda row: percent(row.weight), "right"),
        Column("Score", 36, lambda row: number(row.score, sign=True), "right"),
    ]
    return [column for column in columns if column.width]


def order_columns() -> list[Column[Order]]:
    """Columns of the executed orders over the whole width of a page."""

    def shares(order: Order) -> str:
        whole = order.filled == order.quantity
        return f"{abs(order.filled):,}" + ("" if whole else f" of {abs(order.quantity):,}")

    return [
        Column("Ticker", 46, lambda order: order.ticker, bold=True),
        Column("Side", 28, lambda order: "Buy" if order.quantity > 0 else "Sell"),
        Column("Shares", 66, shares, "right"),
        Column("Decided at", 58, lambda order: number(order.decision_price), "right"),
        Column("Filled at", 58, lambda order: number(order.fill_price), "right"),
        Column("Value", 66, lambda order: dollars(order.value), "right"),
        Column("Against (bp)", 58, lambda order: number(order.move, 1, sign=True), "right"),
        Column("Cost", 52, lambda order: dollars(order.cost, 2), "right"),
        Column("Reason", 100, lambda order: order.reason),
    ]


def order_note(orders: list[Order]) -> str:
    """Number of orders, USD bought and sold, and their cost in USD and basis points."""
    bought = sum(order.value for order in orders if order.quantity > 0)
    sold = sum(order.value for order in orders if order.quantity < 0)
    cost = sum(order.cost for order in orders)
    per = f" ({number(1e4 * cost / (bought + sold), 1)} bp)" if bought + sold else ""
    return f"{len(orders)} orders: bought {dollars(bought)}, sold {dollars(sold)}, cost {dollars(cost, 2)}{per}"


def further_pages(current: Day) -> list[Page]:
    """All holdings and all orders where the first page shows only some of them."""
    pages: list[Page] = []
    if len(current.holdings) > TOP_HOLDINGS:
        pages += _table_pages("All holdings", holdings_columns(current, INNER), list(current.holdings.itertuples()))
    if len(current.orders) > TOP_ORDERS:
        pages += _table_pages("All orders executed", order_columns(), current.orders, order_note(current.orders))
    return pages


def _table_pages(title: str, columns: list[Column[Any]], rows: list[Any], note: str = "") -> list[Page]:
    def page(first: int) -> Page:
        def draw(sheet: Sheet) -> None:
            end = min(first + TABLE_ROWS, len(rows))
            part = f"{title}, {first + 1} to {end} of {len(rows)}"
            sheet.heading(MARGIN, 68, INNER, part, note)
            draw_table(sheet, MARGIN, 80, columns, rows[first:end])

        return draw

    return [page(first) for first in range(0, len(rows), TABLE_ROWS)]
