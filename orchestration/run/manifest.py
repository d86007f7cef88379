"""Manifests: JSON files with the result of each completed build, to check later.

A file holds the facts of each source (`Source.facts`) and the sha256 of the file before it, so that
a chain of files shows whether one was changed or is missing. Build 12 wrote `build-00000012.json`;
`build-00000012-1.json` holds what was there later, before the next recorded build.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loaders import sources
from loaders.errors import UsageError
from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse

KIND = "quotemill manifest"
VERSION = 1
APART = "made_with"  # key of facts that are stored but not checked
NAME = re.compile(r"build-(\d+)(?:-(\d+))?\.json")


@dataclass(frozen=True)
class Check:
    """A checked manifest.

    `differences` say what is not as in the manifest; empty if nothing differs.
    """

    path: str
    sources: tuple[str, ...]
    differences: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"path": self.path, "sources": self.sources, "differences": self.differences}


def folder_of(settings: Settings, warehouse: Warehouse) -> Path:
    """The folder of manifests, one per warehouse, because each numbers its own builds."""
    from loaders.warehouse import migrate

    return settings.home / "manifests" / migrate.warehouse_id(warehouse)


def located(settings: Settings, warehouse: Warehouse, file: Path) -> Path:
    """The path of a manifest.

    A bare file name that does not exist here is taken from the folder of manifests.
    """
    if file.exists() or file.name != str(file):
        return file
    return folder_of(settings, warehouse) / file


def newest(settings: Settings, warehouse: Warehouse) -> Path:
    """The newest manifest. Raises UsageError if no build has one."""
    folder = folder_of(settings, warehouse)
    if found := _numbered(folder):
        return found[-1][1]
    raise UsageError(
        f"no manifest is in {folder}",
        hint="`quotemill run` and `quotemill build` write them; after plain `dbt build`: "
        "`quotemill manifest write`",
    )


def write(settings: Settings, warehouse: Warehouse, build_id: int) -> Path | None:
    """Write the manifest of a build, whole or not at all; None if no source has facts."""
    told = _told(settings, warehouse)
    return _written(folder_of(settings, warehouse), build_id, 0, told) if told else None


def write_now(settings: Settings, warehouse: Warehouse, build_id: int) -> Path | None:
    """Write a manifest of what is there now, which plain dbt may have built.

    `build_id` is the newest recorded build; 0: no build is recorded. Returns the newest manifest
    without writing if it says the same, and None if no source has facts.
    """
    told = _told(settings, warehouse)
    if not told:
        return None
    folder = folder_of(settings, warehouse)
    if held := _numbered(folder):
        (of_build, number), path = held[-1]
        now = {name: _compared(facts) for name, facts in told.items()}
        if {n: _compared(facts) for n, facts in _read(path)["sources"].items()} == now:
            return path
        if of_build >= build_id:
            return _written(folder, of_build, number + 1, told)
    return _written(folder, build_id, 0 if build_id else 1, told)


def _told(settings: Settings, warehouse: Warehouse) -> dict[str, Any]:
    """The facts of each configured source that has any."""
    names = sources.configured(settings)[0]
    found = {name: sources.find(name).facts(settings, warehouse, None) for name in names}
    return {name: facts for name, facts in found.items() if facts is not None}


def _written(folder: Path, build_id: int, number: int, told: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    earlier = [path for place, path in _numbered(folder) if place < (build_id, number)]
    before = earlier[-1] if earlier else None
    document = {
        "kind": KIND,
        "version": VERSION,
        "build_id": build_id or None,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": told,
        "previous": before and {"file": before.name, "sha256": _sha256(before)},
    }
    path = folder / (f"build-{build_id:08d}" + (f"-{number}" if number else "") + ".json")
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def check(settings: Settings, warehouse: Warehouse, path: Path) -> Check:
    """Compare a manifest with what is stored now for its days.

    Also checks the file before it. Raises UsageError for a file that is not a manifest.
    """
    document = _read(path)
    found: list[str] = []
    for name, told in document["sources"].items():
        now = sources.find(name).facts(settings, warehouse, told)
        found += _differences(name, _compared(told), _compared(now))
    previous = document["previous"]
    if previous:
        before = path.parent / previous["file"]
        if not before.is_file():
            found.append(f"previous: {previous['file']} is not there")
        elif _sha256(before) != previous["sha256"]:
            found.append(f"previous: {previous['file']} was changed")
    return Check(str(path), tuple(document["sources"]), tuple(found))


def _compared(facts: Mapping[str, Any] | None) -> Any:
    """The part of some facts that is checked, as JSON holds it."""
    return json.loads(json.dumps({k: v for k, v in (facts or {}).items() if k != APART}))


def _numbered(folder: Path) -> list[tuple[tuple[int, int], Path]]:
    """Manifests with (build, number), in the order in which they were written."""
    named = ((NAME.fullmatch(path.name), path) for path in folder.glob("*"))
    return sorted(((int(m[1]), int(m[2] or 0)), path) for m, path in named if m)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise UsageError(
            f"{path} is no manifest",
            hint="they are in the folder manifests of the home, by warehouse",
        )
    if document["version"] > VERSION:
        raise UsageError(f"{path} is of a newer quotemill", hint="check it with that version")
    return document


def _differences(where: str, told: Any, now: Any) -> Iterator[str]:
    if isinstance(told, dict) and isinstance(now, dict):
        for name in sorted(told.keys() | now.keys()):
            yield from _differences(f"{where}.{name}", told.get(name), now.get(name))
    elif isinstance(told, list) and isinstance(now, list) and len(told) == len(now):
        for number, (one, other) in enumerate(zip(told, now, strict=True)):
            yield from _differences(f"{where}[{number}]", one, other)
    elif told != now:
        yield f"{where}: the manifest says {_short(told)}, now {_short(now)}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    return "nothing" if value is None else str(value)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
