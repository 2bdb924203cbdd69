"""The model registry in the layout of LEAN's Object Store, with an append-only index of what was in force from when.

Under the storage root: `quant50/models/YYYY-MM-DD.pkl` (by `usable_from`), `quant50/latest_model.pkl`,
`quant50/index.json`, and beside them `cache/<key>.pkl`, every bundle ever trained, by the content it was trained from.
A file appears whole or not at all: it is written beside its place, flushed to disk and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from quant50.errors import DataError, ModelError
from quant50.model import Bundle, loads

INDEX = "quant50/index.json"
LATEST = "quant50/latest_model.pkl"
OWNER = "quant50/owner.json"


@dataclass(frozen=True)
class Entry:
    """One line of the index: from `usable_from` on, the bundle at `path` is in force.

    Of several entries for one `usable_from` the last holds. `sha256` is that of the file, `key` that of what it was
    trained from, `reason` why it was entered.
    """

    usable_from: str
    trained_through: str
    path: str
    sha256: str
    key: str
    kind: str
    reason: str


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename, fsync of the folder.

    Raises
    ------
    DataError
        The file cannot be written (full disk, no permission); what stood there before still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def model_path(usable_from: str) -> str:
    """Object Store key of a week's bundle (a key may hold one dot only)."""
    return f"quant50/models/{usable_from}.pkl"


def cache_path(storage: Path, key: str, suffix: str = "pkl") -> Path:
    """File of what was trained from the content `key`."""
    return storage / "cache" / f"{key}.{suffix}"


def read_index(storage: Path) -> list[Entry]:
    """All entries in the order they were made; empty without an index.

    Raises
    ------
    ModelError
        The index cannot be read.
    """
    path = storage / INDEX
    if not path.exists():
        return []
    try:
        return [Entry(**line) for line in json.loads(path.read_text())]
    except (ValueError, TypeError) as error:
        raise ModelError(f"model index {path} cannot be read: {error}") from error


def bundles(storage: Path) -> list[Entry]:
    """The entries that hold, one for each `usable_from`, ascending."""
    return [entry for _, entry in sorted({entry.usable_from: entry for entry in read_index(storage)}.items())]


def publish(storage: Path, models: Iterable[tuple[str, bytes, str]]) -> int:
    """Put bundles in force: their files, then the index, then `latest_model.pkl`; what is already so stays untouched.

    Parameters
    ----------
    models : (key, bytes of the bundle, reason) each

    Returns
    -------
    Number of entries appended.

    Raises
    ------
    ModelError
        A bundle cannot be read. DataError: a file cannot be written.
    """
    index = read_index(storage)
    held = {entry.usable_from: entry for entry in index}
    appended = 0
    for key, content, reason in models:
        bundle = loads(content)
        sha256 = hashlib.sha256(content).hexdigest()
        path = storage / model_path(bundle.usable_from)
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            write_atomic(path, content)
        before = held.get(bundle.usable_from)
        if before is None or (before.sha256, before.key) != (sha256, key):
            entry = Entry(
                bundle.usable_from, bundle.trained_through, model_path(bundle.usable_from), sha256, key, bundle.kind,
                reason if before is None else f"{reason}; replaces {before.sha256[:12]}",
            )  # fmt: skip
            held[entry.usable_from] = entry
            index.append(entry)
            appended += 1
    if appended:
        write_atomic(storage / INDEX, json.dumps([asdict(entry) for entry in index], indent=1).encode())
    if held:
        newest = (storage / held[max(held)].path).read_bytes()
        latest = storage / LATEST
        if not latest.exists() or latest.read_bytes() != newest:
            write_atomic(latest, newest)
    return appended


def claim(storage: Path, market: str, kind: str) -> None:
    """Mark a storage root as that of one market and one kind of model, or refuse another's.

    One index says what is in force, so bundles of two markets or kinds in one root would replace each other.

    Raises
    ------
    ModelError
        The root holds models of another market or kind.
    """
    path, mark = storage / OWNER, {"market": market, "kind": kind}
    if not path.exists():
        write_atomic(path, (json.dumps(mark, sort_keys=True) + "\n").encode())
        return
    owner = json.loads(path.read_bytes())
    if owner != mark:
        raise ModelError(
            f"{storage} holds {owner['kind']} models of the {owner['market']} market, "
            f"not {kind} models of the {market} market: give another --storage"
        )


def read_bundle(
    storage: Path,
    entry: Entry,
    feature_names: Sequence[str] | None = None,
    as_of: date | None = None,
    maximum_age_days: float | None = None,
) -> Bundle:
    """Bundle of an entry, checked against the index and by `quant50.model.loads`.

    Raises
    ------
    ModelError
        The file is missing, is not the one of the index, or is refused by `loads`.
    """
    path = storage / entry.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model bundle {path} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ModelError(f"model bundle {path} refused: it is not the file of the index (sha256 differs)")
    bundle = loads(content, feature_names, as_of, maximum_age_days)
    if bundle.usable_from != entry.usable_from:
        raise ModelError(f"model bundle {path} refused: usable from {bundle.usable_from}, not {entry.usable_from}")
    return bundle


def bundle_in_force(
    storage: Path, session: date, feature_names: Sequence[str] | None = None, maximum_age_days: float | None = None
) -> Bundle:
    """Bundle with the latest `usable_from` on or before a session.

    Raises
    ------
    ModelError
        None is in force, or the one in force is refused (`read_bundle`).
    """
    entries = [entry for entry in bundles(storage) if entry.usable_from <= session.isoformat()]
    if not entries:
        raise ModelError(f"no model bundle in {storage} is in force on {session.isoformat()}: train one (make train)")
    return read_bundle(storage, entries[-1], feature_names, session, maximum_age_days)
