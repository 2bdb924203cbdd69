"""Fixtures of the report tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for `make_run`, the helper that writes a synthetic run folder
