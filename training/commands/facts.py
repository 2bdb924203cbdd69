"""The command `facts`: stylised facts of simulated markets against bands measured on real data."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from training.commands.console import console, progress
from training.sources.simulated.market import simulate
from training.sources.simulated.parameters import MarketParameters
from training.stylised_bands import BANDS
from training.stylised_facts import Row, facts, table


def run_facts(first_seed: int, seeds: int) -> int:
    """Measure and print the facts of some seeds; 1 if one lies outside its band, else 0."""
    rows: dict[int, list[Row]] = {}
    with progress("simulated markets", seeds) as advance:
        for seed in range(first_seed, first_seed + seeds):
            rows[seed] = table(facts(simulate(MarketParameters(seed=seed)).sample()), BANDS)
            advance(1)
    for seed, every in rows.items():
        console.print(render(seed, every))
    failed = sum(not row.passed for every in rows.values() for row in every)
    console.print(f"{failed} of {sum(map(len, rows.values()))} facts of {seeds} simulated markets outside their bands")
    return 1 if failed else 0


def render(seed: int, rows: Sequence[Row]) -> Table:
    """The facts of one seed."""
    caption = "SIMULATED MARKET; bands: 5 to 95 % over two-year windows of real data"
    shown = Table(title=f"Stylised facts, seed {seed}", caption=caption, title_justify="left", caption_justify="left")
    shown.add_column("fact")
    for head in ("value", "band", "verdict"):
        shown.add_column(head, justify="right")
    for row in rows:
        mark = "[green]pass[/]" if row.passed else "[red]FAIL[/]"
        shown.add_row(row.fact, f"{row.value:.4f}", f"{row.low:.4f} to {row.high:.4f}", mark)
    return shown
