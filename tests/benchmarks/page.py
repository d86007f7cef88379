"""docs/benchmarks.md as a page of sections: a run of some parts keeps what others have measured."""

from collections.abc import Iterable, Mapping

from tests.benchmarks.report import Aim, aims_table, table

AIMS, METHOD = "Aims", "How it is measured"


def sections_of(page: str) -> dict[str, str]:
    """Text by title, without the page's head, its aims and its closing section."""
    parts = [part.partition("\n") for part in page.split("\n## ")[1:]]
    found = {title: text.strip() for title, _, text in parts}
    return {title: text for title, text in found.items() if title not in (AIMS, METHOD)}


def aims_of(page: str) -> list[Aim]:
    """The rows of the page's table of aims."""
    _, _, rest = page.partition(f"\n## {AIMS}\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    cells = [line.strip("| ").split(" | ") for line in lines[2:]]
    return [(name, wanted, found, met == "yes") for name, wanted, found, met in cells]


def with_new(before: Iterable[Aim], new: Iterable[Aim]) -> list[Aim]:
    """The aims with those of this run in the place of the same ones before."""
    found = {aim[:2]: aim for aim in (*before, *new)}
    return list(found.values())


def written(
    head: str,
    facts: Iterable[tuple[str, str]],
    aims: Iterable[Aim],
    sections: Mapping[str, str],
    order: Iterable[str],
    method: str,
) -> str:
    """The page; sections in `order`, others (of an older page) left out."""
    text = ["# Benchmarks", head, table(("", ""), facts), f"## {AIMS}", aims_table(aims)]
    for title in order:
        if title in sections:
            text += [f"## {title}", sections[title]]
    return "\n\n".join([*text, f"## {METHOD}", method]) + "\n"
