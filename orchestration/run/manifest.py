"""Manifests: JSON files with the result of each completed build, to check later.

A file holds the facts of each source (`Source.facts`) and the sha256 of the file before it, so that
a chain of files shows whether one was changed or is missing. Build 12 wrote `build-00000012.json`;
`build-00000012-1.json` holds what was there later, before the next recorded build.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from loaders import sources
from loaders.check import Check, run_checks
from loaders.files import whole_file
from loaders.settings import Settings
from quotemill.errors import DataQualityError, UsageError
from quotemill.warehouse.postgres import Warehouse

KIND = "quotemill manifest"
VERSION = 1
VERIFY = "loaders verify tq"  # compares ticks with their index
UNCHECKED = "made_with"  # key of facts that are stored but not checked
NAME = re.compile(r"build-(\d+)(?:-(\d+))?\.json")


def manifest_folder(settings: Settings, warehouse: Warehouse) -> Path:
    """The folder of manifests, one per warehouse, because each numbers its own builds."""
    from loaders.warehouse import migrate

    return settings.home / "manifests" / migrate.warehouse_id(warehouse)


def locate(settings: Settings, warehouse: Warehouse, file: Path) -> Path:
    """The path of a manifest.

    A bare file name that does not exist here is taken from the folder of manifests.
    """
    if file.exists() or file.name != str(file):
        return file
    return manifest_folder(settings, warehouse) / file


def newest(settings: Settings, warehouse: Warehouse) -> Path:
    """The newest manifest. Raises UsageError if no build has one."""
    folder = manifest_folder(settings, warehouse)
    if manifests := _list_manifests(folder):
        return manifests[-1][1]
    raise UsageError(
        f"no manifest in {folder}",
        hint="Run `quotemill build`, or `quotemill manifest write` after plain `dbt build`.",
    )


def write(settings: Settings, warehouse: Warehouse, build_id: int) -> Path | None:
    """Write the manifest of a build, whole or not at all; None if no source has facts."""
    facts = _read_facts(settings, warehouse)
    return _write(manifest_folder(settings, warehouse), build_id, 0, facts) if facts else None


def write_now(settings: Settings, warehouse: Warehouse, build_id: int) -> Path | None:
    """Write a manifest of what is there now, which plain dbt may have built.

    `build_id` is the newest recorded build; 0: no build is recorded. Returns the newest manifest
    without writing if it says the same, and None if no source has facts.
    """
    facts = _read_facts(settings, warehouse)
    if not facts:
        return None
    folder = manifest_folder(settings, warehouse)
    if manifests := _list_manifests(folder):
        (newest_build, number), path = manifests[-1]
        if _checked_sources(_read(path)["sources"]) == _checked_sources(facts):
            return path
        if newest_build >= build_id:
            return _write(folder, newest_build, number + 1, facts)
    return _write(folder, build_id, 0 if build_id else 1, facts)


def _read_facts(settings: Settings, warehouse: Warehouse) -> dict[str, Any]:
    """The facts of each configured source that has any."""
    names = sources.configured(settings)[0]
    by_source = {
        name: sources.find(name).insight.facts(settings, warehouse, None) for name in names
    }
    return {name: facts for name, facts in by_source.items() if facts is not None}


def _write(folder: Path, build_id: int, number: int, facts: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    earlier = [path for key, path in _list_manifests(folder) if key < (build_id, number)]
    before = earlier[-1] if earlier else None
    document = {
        "kind": KIND,
        "version": VERSION,
        "build_id": build_id or None,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": facts,
        "previous": before and {"file": before.name, "sha256": whole_file.hash_file(before)},
    }
    path = folder / (f"build-{build_id:08d}" + (f"-{number}" if number else "") + ".json")
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    whole_file.write(path, text, mode=0o644)
    return path


def check(settings: Settings, warehouse: Warehouse, path: Path) -> list[Check]:
    """Compare a manifest with what is stored now for its days.

    Each difference of a source is a failed check; so is a change of the file before it. Raises
    UsageError for a file that is not a manifest.
    """
    document = _read(path)

    def check_source(name: str, facts: Mapping[str, Any]) -> Iterator[Check]:
        current = sources.find(name).insight.facts(settings, warehouse, facts)
        yield from _judge(name, _compare(name, _checked_part(facts), _checked_part(current)))

    own = [(name, partial(check_source, name, it)) for name, it in document["sources"].items()]
    before = partial(_judge, "previous", _check_previous(path, document["previous"]))
    return list(run_checks([*own, ("previous", before)] if document["previous"] else own))


def _judge(name: str, differences: Iterable[str]) -> list[Check]:
    """A failed check for each difference; else one that passes."""
    code = DataQualityError.exit_code
    failures = [Check(name, "fail", text, VERIFY, exit_code=code) for text in differences]
    return failures or [Check(name, "ok", "as in the manifest")]


def _check_previous(path: Path, previous: Mapping[str, str]) -> Iterator[str]:
    before = path.parent / previous["file"]
    if not before.is_file():
        yield f"previous: {previous['file']} does not exist"
    elif whole_file.hash_file(before) != previous["sha256"]:
        yield f"previous: {previous['file']} was changed"


def _checked_sources(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _checked_part(part) for name, part in facts.items()}


def _checked_part(facts: Mapping[str, Any] | None) -> Any:
    """The part of some facts that is checked, as JSON holds it."""
    return json.loads(json.dumps({k: v for k, v in (facts or {}).items() if k != UNCHECKED}))


def _list_manifests(folder: Path) -> list[tuple[tuple[int, int], Path]]:
    """Each manifest with its (build, number), in the order in which they were written."""
    matches = ((NAME.fullmatch(path.name), path) for path in folder.glob("*"))
    return sorted(((int(m[1]), int(m[2] or 0)), path) for m, path in matches if m)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise UsageError(
            f"{path} is not a manifest",
            hint="Choose one in the folder manifests of the home.",
        )
    if document["version"] > VERSION:
        raise UsageError(f"a newer quotemill wrote {path}", hint="Check it with that version.")
    return document


def _compare(where: str, stored: Any, current: Any) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(current, dict):
        for name in sorted(stored.keys() | current.keys()):
            yield from _compare(f"{where}.{name}", stored.get(name), current.get(name))
    elif isinstance(stored, list) and isinstance(current, list) and len(stored) == len(current):
        for number, (before, now) in enumerate(zip(stored, current, strict=True)):
            yield from _compare(f"{where}[{number}]", before, now)
    elif stored != current:
        yield f"{where}: {_short(stored)} in the manifest, now {_short(current)}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    return "nothing" if value is None else str(value)
