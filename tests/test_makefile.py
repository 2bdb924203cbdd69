"""The Makefile helps with every command, and set-up names what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

TOOLS = ("bash", "env", "dirname", "rm", "touch", "mkdir", "cat")
"""What the set-up may need besides a Python; nothing else is on its PATH."""

FAKE_PYTHON = """#!/bin/sh
case "$*" in
*--version*) echo "Python 3.9.2"; exit 0 ;;
*version_info*3*11*) exit 1 ;;
esac
echo "a Python 3.9 was used: $*" >&2
exit 3
"""


def phony() -> list[str]:
    (line,) = re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.M)
    return line.split()


@pytest.mark.parametrize("target", phony())
def test_each_command_has_a_help_line(target):
    assert re.search(rf"^{re.escape(target)}:.*## \S", MAKEFILE, re.M), f"make {target} has no '## …'"


def test_each_help_line_belongs_to_a_phony_target():
    assert set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.M)) <= set(phony())


def test_the_continuous_integration_runs_make_test_and_nothing_else():
    script = ROOT / ".ci" / "run"
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert os.access(script, os.X_OK)
    assert lines == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what set-up needs, beside a folder `bin` that holds the tools and no Python."""
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "setup.sh", folder / "tools")
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return folder


def set_up(checkout: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout.parent / "bin"), "HOME": str(checkout.parent), **extra}
    command = [str(checkout / "tools" / "setup.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("names", [(), ("python3",), ("python3", "python3.11")], ids=["none", "python3", "both"])
def test_a_wrong_or_missing_python_gets_one_clear_sentence(checkout, names):
    for name in names:
        fake = checkout.parent / "bin" / name
        fake.write_text(FAKE_PYTHON)
        fake.chmod(0o755)
    done = set_up(checkout)
    assert done.returncode == 1
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("setup: Python 3.11 is needed")
    assert "make setup PYTHON=" in sentence
    assert not (checkout / ".venv").exists()


def test_a_wrong_python_named_by_hand_gets_the_same_sentence(checkout):
    fake = checkout.parent / "old-python"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    done = set_up(checkout, PYTHON=str(fake))
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("setup: Python 3.11 is needed")
