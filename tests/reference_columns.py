"""The reference page of all columns, from the YAML of the dbt project and the landed tables."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from loaders.sources import landed_tables
from loaders.warehouse import tables

ROOT = Path(__file__).parent.parent


def columns_page() -> str:
    """Every column of models and landed tables with its type, its meaning and its tables."""
    lines = [
        "# Columns",
        "",
        "Written by `python -m tests.write_reference`; edits are lost. `models.html` beside these",
        "pages shows the same by table. Rules for names: [names](../naming.md).",
        "",
    ]
    for title, columns in (("Models", model_columns()), ("Raw tables", raw_columns())):
        kinds: dict[str, str] = {}
        rows: dict[tuple[str, str], list[str]] = defaultdict(list)
        for table, column, kind, meaning in columns:
            kinds[column] = kinds.get(column) or kind
            rows[column, meaning].append(f"`{table}`")
        lines += [f"## {title}", "", "| column | type | meaning | tables |", "|---|---|---|---|"]
        lines += [
            f"| `{column}` | {kinds[column]} | {meaning} | {', '.join(names)} |"
            for (column, meaning), names in sorted(rows.items())
        ]
        lines.append("")
    return "\n".join(lines)


def model_columns() -> Iterator[tuple[str, str, str, str]]:
    """Model, column, type as far as a contract has it, and meaning."""
    for model in _entries("models"):
        for column in model.get("columns", ()):
            kind = column.get("data_type", "").removeprefix("pg_catalog.")
            yield model["name"], column["name"], kind, _meaning(column)


def raw_columns() -> Iterator[tuple[str, str, str, str]]:
    """Landed table, column, PostgreSQL's type and meaning."""
    kinds = {
        (table.name, field.name): tables._postgres_type(field.type)
        for table in landed_tables()
        for field in table.stored
    }
    for source in _entries("sources"):
        if not source["name"].startswith("raw_"):
            continue
        for table in source["tables"]:
            for column in table.get("columns", ()):
                kind = kinds.get((table["name"], column["name"]), "")
                yield f"{source['name']}.{table['name']}", column["name"], kind, _meaning(column)


def _entries(section: str) -> Iterator[Any]:
    for file in _files():
        yield from file.get(section) or ()


@cache
def _files() -> list[Any]:
    paths = sorted((ROOT / "dbt_project" / "models").rglob("*.yml"))
    return [yaml.safe_load(path.read_text("utf-8")) for path in paths]


def _meaning(column: Any) -> str:
    text = re.sub(
        r"\{\{ doc\('(\w+)'\) \}\}", lambda name: _blocks()[name[1]], column["description"]
    )
    return " ".join(text.split()).replace("|", "\\|")


@cache
def _blocks() -> dict[str, str]:
    """The texts that descriptions refer to by name."""
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "dbt").glob("*.md"))
    return dict(re.findall(r"\{% docs (\w+) %\}\n(.*?)\{% enddocs %\}", text, re.DOTALL))
