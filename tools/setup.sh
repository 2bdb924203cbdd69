#!/usr/bin/env bash
# Creates .venv with Python 3.11 and the locked packages. Run by `make setup`.
set -euo pipefail
cd "$(dirname "$0")/.."

stop() {
    echo "setup: $1" >&2
    exit 1
}

is_311() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in "${PYTHON:-python3.11}" python3.11 python3; do
        if is_311 "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    if command -v uv >/dev/null 2>&1 && uv python install -q 3.11 >/dev/null 2>&1; then
        uv python find 3.11 && return
    fi
    return 1
}

python=$(find_python) || stop "Python 3.11 is needed (LEAN's own version) and was not found; install it, or uv, or name it: make setup PYTHON=/path/to/python3.11"
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv || stop "the venv module of $python is missing; on Debian: apt-get install python3.11-venv"
fi
echo "setup: installing the locked packages into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock ||
    stop "the packages could not be installed; the lines above say why"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ||
    stop "the project itself could not be installed; the lines above say why"
if ! error=$(.venv/bin/python -c 'import lightgbm' 2>&1); then
    case "$error" in
    *libgomp*) stop "LightGBM needs the system library libgomp1; on Debian: apt-get install libgomp1" ;;
    *) stop "LightGBM cannot be imported: ${error##*$'\n'}" ;;
    esac
fi
touch .venv/ready
echo "setup: done"
