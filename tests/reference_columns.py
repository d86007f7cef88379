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
# of every landed table; no source of dbt repeats them
LINEAGE = {
    name: f"{{{{ doc('{name}') }}}}"
    for name in ("source_route", "route_no", "fetched_at", "is_final", "_dlt_load_id", "file_no")
}


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
            yield model["name"], column["name"], kind, _meaning(column["description"])


def raw_columns() -> Iterator[tuple[str, str, str, str]]:
    """Landed table, column, PostgreSQL's type and meaning."""
    described = described_tables()
    for table in landed_tables():
        for field in table.stored if table.qualified in described else ():
            column = described[table.qualified].get(field.name) or LINEAGE[field.name]
            kind = tables._postgres_type(field.type)
            yield table.qualified, field.name, kind, _meaning(column)


def described_tables() -> dict[str, dict[str, str]]:
    """The descriptions of columns that dbt's sources have, by landed table."""
    return {
        f"{source['name']}.{table['name']}": {
            column["name"]: column["description"] for column in table["columns"]
        }
        for source in _entries("sources")
        for table in source["tables"]
        if source["name"] != "ops"
    }


def _entries(section: str) -> Iterator[Any]:
    for file in _files():
        yield from file.get(section) or ()


@cache
def _files() -> list[Any]:
    paths = sorted((ROOT / "dbt_project" / "models").rglob("*.yml"))
    return [yaml.safe_load(path.read_text("utf-8")) for path in paths]


def _meaning(description: str) -> str:
    text = re.sub(r"\{\{ doc\('(\w+)'\) \}\}", lambda name: _blocks()[name[1]], description)
    return " ".join(text.split()).replace("|", "\\|")


@cache
def _blocks() -> dict[str, str]:
    """The texts that descriptions refer to by name."""
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "dbt").glob("*.md"))
    return dict(re.findall(r"\{% docs (\w+) %\}\n(.*?)\{% enddocs %\}", text, re.DOTALL))
