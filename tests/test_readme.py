"""README promises nothing that is not there: commands, links, and what it says is missing."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import reports.__main__
import training.__main__

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HELPED = set(re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.M))
APPS = {"training": training.__main__.app, "reports": reports.__main__.app}

BLOCKS = re.findall(r"^```bash\n(.*?)^```", README, re.M | re.S)
LINES = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines() if line.strip()]
MODULES = [words for words in LINES if words[:2] == [".venv/bin/python", "-m"]]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_first_command_is_the_demo_and_the_second_the_tests():
    assert LINES[:2] == [["make", "demo"], ["make", "test"]]


def test_each_line_is_a_make_target_or_one_of_our_modules():
    strange = [words for words in LINES if words[0] != "make" and words not in MODULES]
    assert not strange
    assert len(MODULES) >= 5


def test_each_make_target_in_the_text_exists_and_has_a_help_line():
    inline = re.findall(r"`make ([a-z-]+)", README)
    blocks = [words[1] for words in LINES if words[0] == "make"]
    assert set(inline + blocks) <= HELPED
    assert HELPED - {"help"} <= set(inline), "the table of commands lacks a target"


@pytest.mark.parametrize("words", MODULES, ids=" ".join)
def test_each_module_command_parses(words):
    module, arguments = words[2], words[3:]
    group = typer.main.get_command(APPS[module])
    if arguments == ["--help"]:
        return
    context = group.make_context(module, arguments[:0], resilient_parsing=True)
    name, command, rest = group.resolve_command(context, arguments)
    command.make_context(name, rest, parent=context)  # raises UsageError for an unknown option or a bad value


@pytest.mark.parametrize("words", [w for w in MODULES if w[3:] != ["--help"]], ids=" ".join)
def test_each_module_command_explains_itself(words):
    result = CliRunner().invoke(APPS[words[2]], [words[3], "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_unknown_options_do_not_parse():
    group = typer.main.get_command(APPS["training"])
    context = group.make_context("training", [], resilient_parsing=True)
    name, command, rest = group.resolve_command(context, ["demo", "--wekks", "3"])
    with pytest.raises(Exception, match="wekks"):
        command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def test_all_decisions_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_the_commands_import_when_called_exists():
    source = (ROOT / "training" / "__main__.py").read_text(encoding="utf-8")
    modules = set(re.findall(r"^    from ([\w.]+) import", source, re.M)) | {"benchmarks.__main__"}
    assert len(modules) > 5
    assert not [module for module in sorted(modules) if find_spec(module) is None]


def test_what_the_text_says_is_true_of_the_strategy():
    from quant50.features import FEATURE_NAMES
    from quant50.parameters import Parameters

    defaults = Parameters()
    assert f"{len(FEATURE_NAMES)} [features]" in README
    for text in (
        f"at most {defaults.maximum_holdings} US large caps",
        f"stock ≤ {defaults.stock_cap:.0%}".replace("%", " %"),
        f"ETF ≤ {defaults.etf_cap:.0%}".replace("%", " %"),
        f"sector ≤ {defaults.sector_cap:.0%}".replace("%", " %"),
        f"chosen turnover ≤ {defaults.turnover_limit:.0%}".replace("%", " %"),
        f"volatility ≤ {defaults.volatility_limit:.0%}".replace("%", " %"),
        f"cash ≥ {defaults.minimum_cash:.0%}".replace("%", " %"),
    ):
        assert text in " ".join(README.split())


def test_the_folder_format_is_that_of_the_parquet_source():
    from training.sources.records import COLUMNS

    for table, columns in COLUMNS.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{table}.parquet`"))
        named = re.sub(r"\([^)]*\)|;.*", "", row.split("|")[2])
        assert tuple(word.strip() for word in named.split(",")) == columns


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "demo"),
        (
            ["replay", "tests/golden/simulated_2018", "tests/golden/simulated_2018_free"],
            "simulated_2018_free: 498 sessions, 1777 orders: exact",
        ),
    ],
    ids=["help", "replay"],
)
def test_cheap_commands_run(arguments, expected):
    assert [".venv/bin/python", "-m", "training", *arguments] in MODULES
    done = subprocess.run(
        [sys.executable, "-m", "training", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_make_help_runs():
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert {line.split()[1] for line in done.stdout.splitlines()} == HELPED
