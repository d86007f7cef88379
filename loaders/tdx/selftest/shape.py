"""The shape of an answer: its fields and their types, without their values.

Revisions of the service differ in it. So a change in the fingerprint of all shapes and verdicts
shows that another revision answers now.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

_KINDS = {bool: "boolean", int: "number", float: "number", str: "text", type(None): "null"}


def hash_shape(value: Any, volatile: Iterable[str] = ()) -> str:
    """A short hash of fields and types.

    volatile: paths such as `minute.List` that come and go; the hash leaves them out.
    """
    left_out = tuple(volatile)
    paths = {path for path in _paths(value, "") if not _below(path.partition(" ")[0], left_out)}
    return short_hash(sorted(paths))


def short_hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _paths(value: Any, at: str) -> Iterator[str]:
    """Paths with types, such as `List[].Time text`; a field has one for each type."""
    if isinstance(value, dict):
        yield f"{at} object"
        for name, member in value.items():
            yield from _paths(member, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        yield f"{at} list"
        for item in value:
            yield from _paths(item, f"{at}[]")
    else:
        yield f"{at} {_KINDS[type(value)]}"


def _below(path: str, tops: tuple[str, ...]) -> bool:
    return any(path == top or path.startswith((f"{top}.", f"{top}[")) for top in tops)
