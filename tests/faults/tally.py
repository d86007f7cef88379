"""A count of the faults that tests struck, by kind and source: the last lines of a run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HEAD = ("fault", "source", "struck", "missed", "rows compared", "rows that differ")
Properties = list[tuple[str, object]]
_running: list[Properties] = []  # of the test that runs; with them a worker reports its counts


def follow(properties: Properties) -> None:
    """Count from now on for the test with these properties."""
    _running[:] = [properties]


def count(kind: str, source: str, *, hit: bool = True, rows: int = 0, differ: int = 0) -> None:
    """One that hit nothing is missed: what it was for had ended."""
    for properties in _running:
        struck = 0 if rows or differ else int(hit)
        missed = 0 if rows or differ else int(not hit)
        properties.append(("fault", [kind, source, struck, missed, rows, differ]))


def note_seed(seed: int) -> None:
    for properties in _running:
        properties.append(("seed", seed))


def compare(
    kind: str, source: str, actual: Mapping[str, Iterable[Any]], expected: Mapping[str, Any]
) -> None:
    """Count the rows that differ from those of what nothing disturbed, and allow none."""
    wrong: list[str] = []
    total = 0
    for table, rows in expected.items():
        right, left = (Counter(map(str, held)) for held in (rows, actual[table]))
        total += right.total()
        wrong += [f"{table} lacks {row}" for row in (right - left).elements()]
        wrong += [f"{table} has {row} too much" for row in (left - right).elements()]
    count(kind, source, rows=total, differ=len(wrong))
    assert not wrong, f"{kind} of {source}: {len(wrong)} rows differ: " + "; ".join(wrong[:5])


def table(reports: Iterable[Any]) -> Iterator[str]:
    """The lines of all that tests reported."""
    sums: dict[tuple[str, str], Counter[int]] = {}
    seeds: set[int] = set()
    for report in reports:
        for name, value in getattr(report, "user_properties", []):
            if name == "seed":
                seeds.add(value)
            elif name == "fault":
                kind, source, *numbers = value
                sums.setdefault((kind, source), Counter()).update(dict(enumerate(numbers)))
    if not sums:
        return
    rows = [(*key, *(f"{sums[key][n]:,}" for n in range(4))) for key in sorted(sums)]
    whole = sum(sums.values(), Counter[int]())
    rows.append(("all", "", *(f"{whole[n]:,}" for n in range(4))))
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    for row in (HEAD, *rows):
        texts = [*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])]
        yield "  ".join(texts)
    yield f"seeds: {', '.join(map(str, sorted(seeds))) or 'fixed ones'}"
