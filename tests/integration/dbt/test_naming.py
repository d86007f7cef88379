"""docs/naming.md is the list of names, and the dbt project keeps to it."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def manifest(parsed_project: tuple[Path, Any]) -> Any:
    """The parsed project; any warning or deprecation of dbt is an error."""
    _, result = parsed_project
    assert result.success, result.exception
    return result.result


@pytest.fixture(scope="module")
def names() -> dict[str, dict[str, str]]:
    """Type by column, for each table of columns in docs/naming.md; and the relations by schema."""
    text = (ROOT / "docs" / "naming.md").read_text("utf-8")
    parts = {}
    for title, body in re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", text, re.S | re.M):
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", body, re.M)
        parts[title] = {name: kind.strip() for name, kind in rows}
    return parts


def models(manifest: Any) -> list[Any]:
    return [node for node in manifest.nodes.values() if node.resource_type == "model"]


def test_every_column_of_a_model_is_in_the_list_of_names_and_no_other(
    manifest: Any, names: dict[str, dict[str, str]]
) -> None:
    used = {column for model in models(manifest) for column in model.columns}
    assert used == set(names["Columns of the models"])


def test_every_column_of_a_contract_has_the_type_of_the_list(
    manifest: Any, names: dict[str, dict[str, str]]
) -> None:
    listed = names["Columns of the models"]
    for model in models(manifest):
        for column in model.columns.values():
            if column.data_type:
                kind = column.data_type.removeprefix("pg_catalog.")
                assert kind == listed[column.name], (model.name, column.name)


def test_every_raw_column_is_in_the_list_of_names(
    manifest: Any, names: dict[str, dict[str, str]]
) -> None:
    listed = {*names["Columns of the models"], *names["Columns of raw tables only"]}
    landed = [s for s in manifest.sources.values() if s.schema.startswith("raw_")]
    assert {column for source in landed for column in source.columns} <= listed


def test_suffixes_say_what_a_column_is(names: dict[str, dict[str, str]]) -> None:
    kinds = {"_at": "timestamptz", "_date": "date", "_start": "date"}
    for name, kind in names["Columns of the models"].items():
        for suffix, wanted in kinds.items():
            assert not name.endswith(suffix) or kind == wanted, name
        assert not name.startswith("is_") or kind == "boolean", name


def test_every_relation_is_in_the_list_under_its_schema(manifest: Any) -> None:
    text = (ROOT / "docs" / "naming.md").read_text("utf-8")
    listed = {
        schema: {name.split()[-1] for name in relations.split(", ")}
        for schema, relations in re.findall(r"^\| `(\w+)` \| (.+?) \|$", text, re.M)
    }
    for node in manifest.nodes.values():
        if node.resource_type in ("model", "seed"):
            assert node.alias in listed[node.schema], node.alias
    for source in manifest.sources.values():
        assert source.identifier in listed[source.schema], source.identifier


def test_every_model_says_its_grain_and_describes_every_column(manifest: Any) -> None:
    for model in models(manifest):
        assert model.description.startswith("One row"), model.name
        assert model.columns, model.name
        for column in model.columns.values():
            assert column.description.strip(), (model.name, column.name)
    for source in manifest.sources.values():
        assert source.description.startswith("One row"), source.name
        assert all(column.description.strip() for column in source.columns.values()), source.name


def test_what_readers_use_is_under_contract_and_has_a_known_reader(manifest: Any) -> None:
    marts = {node.unique_id for node in models(manifest) if "marts" in node.fqn}
    assert marts
    assert all(manifest.nodes[node].contract.enforced for node in marts)
    read = {node for exposure in manifest.exposures.values() for node in exposure.depends_on.nodes}
    assert marts <= read


def test_only_structure_has_error_severity(manifest: Any) -> None:
    structure = {"unique", "not_null", "accepted_values", "unique_combination"}
    structure |= {"schedule_is_whole", "segments_are_contiguous"}
    for node in manifest.nodes.values():
        if node.resource_type == "test" and node.config.severity.lower() == "error":
            assert node.test_metadata.name in structure, node.name
