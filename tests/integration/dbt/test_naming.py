"""The dbt project keeps to the rules of docs/naming.md, and its schemas are listed there."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.checkout import LAYERS
from tests.dbt_parse import Parsed
from tests.integration.dbt.conftest import MODELS

pytestmark = MODELS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def manifest(parsed: Parsed) -> Any:
    """The parsed project; any warning or deprecation of dbt is an error."""
    return parsed.manifest


@pytest.fixture
def column_types(warehouse: Warehouse) -> list[tuple[str, str, str]]:
    """Relation, column and type of everything that is built."""
    query = """
        select relation.relname, attname, format_type(atttypid, atttypmod)
        from pg_attribute
        inner join pg_class as relation on relation.oid = attrelid
        where
            relation.relkind in ('r', 'v', 'm', 'p') and attnum > 0 and not attisdropped
            and relnamespace::regnamespace::text = any(%s)
    """
    schemas = ["market", "futures", "options", "qa", "quotemill_staging", "quotemill_intermediate"]
    with psycopg.connect(warehouse.url) as conn:
        return conn.execute(query, (schemas,)).fetchall()


def list_models(manifest: Any) -> list[Any]:
    return [node for node in manifest.nodes.values() if node.resource_type == "model"]


def test_a_column_has_one_type_in_all_contracts(manifest: Any) -> None:
    types: dict[str, set[str]] = defaultdict(set)
    for model in list_models(manifest):
        for column in model.columns.values():
            # of futures they have the source's nine places, of shares three
            is_price = column.name in ("open", "high", "low", "close")
            if column.data_type and not (is_price and model.schema == "futures"):
                types[column.name].add(column.data_type.removeprefix("pg_catalog."))
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}


def test_suffixes_match_the_types_of_columns(
    manifest: Any, column_types: list[tuple[str, str, str]]
) -> None:
    suffixes = {"_at": "timestamp with time zone", "_date": "date", "_start": "date"}
    built, wrong = {model.alias for model in list_models(manifest)}, []
    for relation, name, kind in column_types:
        wanted = next((k for suffix, k in suffixes.items() if name.endswith(suffix)), kind)
        if relation in built and kind != ("boolean" if name.startswith("is_") else wanted):
            wrong.append((relation, name, kind))
    assert built <= {relation for relation, _, _ in column_types}
    assert wrong == []


def test_columns_are_built_with_the_types_of_their_contracts(
    manifest: Any, column_types: list[tuple[str, str, str]]
) -> None:
    """dbt itself compares without precision, and a client shows as many digits as that has."""
    built = {(relation, name): kind for relation, name, kind in column_types}
    wrong = []
    for model in list_models(manifest):
        for column in model.columns.values():
            if column.data_type and model.config.contract.enforced:
                kind = column.data_type.removeprefix("pg_catalog.")
                wanted = {"timestamptz": "timestamp with time zone"}.get(kind, kind)
                if built[model.alias, column.name] != wanted:
                    wrong.append(f"{model.alias}.{column.name} {wanted}")
    assert wrong == []


def test_the_glossary_lists_exactly_the_schemas_of_the_project(manifest: Any) -> None:
    text = (ROOT / "docs" / "naming.md").read_text("utf-8").split("## Schemas and relations")[1]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.MULTILINE)
    listed = {name.strip("`") for row in rows for name in row.split(", ")}
    nodes = [*manifest.nodes.values(), *manifest.sources.values()]
    kinds = ("model", "seed", "snapshot", "source")
    built = {node.schema for node in nodes if node.resource_type in kinds}
    assert listed == built | {"compat"}  # views, on request


def test_every_model_states_its_grain_and_every_column_is_described(
    manifest: Any, column_types: list[tuple[str, str, str]]
) -> None:
    """Of a private model maybe where the column comes from."""
    nodes = {**manifest.nodes, **manifest.sources}
    for node in [*list_models(manifest), *manifest.sources.values()]:
        assert node.description.startswith("One row"), node.name
        assert all(column.description.strip() for column in node.columns.values()), node.name

    def describes(node: Any, column: str) -> bool:
        if column in node.columns or getattr(node, "access", "") != "private":
            return column in node.columns
        return any(describes(nodes[name], column) for name in node.depends_on.nodes)

    columns: dict[str, list[str]] = defaultdict(list)
    for relation, name, _ in column_types:
        columns[relation].append(name)
    undescribed = [
        (model.name, column)
        for model in list_models(manifest)
        for column in columns[model.alias]
        if not describes(model, column)
    ]
    assert undescribed == []


def test_every_check_is_one_of_the_findings(manifest: Any) -> None:
    columns = {"check_name", "severity", "subject", "trade_date", "evidence"}
    checks = {
        model.unique_id
        for model in list_models(manifest)
        if model.name.startswith("qa_") and set(model.columns) == columns
    }
    assert checks == set(manifest.nodes["model.quotemill.findings"].depends_on.nodes)


def test_every_mart_has_a_contract(manifest: Any) -> None:
    layers, models = {"core", "marts"}, list_models(manifest)
    marts = {n.unique_id for n in models if n.fqn[1] in layers and "steps" not in n.fqn}
    assert marts
    assert all(manifest.nodes[node].contract.enforced for node in marts)


def test_an_exposure_names_the_program_that_reads_its_models(manifest: Any) -> None:
    assert len(manifest.exposures) > 5
    for exposure in manifest.exposures.values():
        place = ROOT / exposure.config.meta["code"]
        files = place.rglob("*.py") if place.is_dir() else [place]
        code = "\n".join(file.read_text("utf-8") for file in files)
        for node in exposure.depends_on.nodes:
            name = manifest.nodes[node].alias
            assert re.search(rf"\b{name}\b", code), (exposure.name, name)


def test_no_model_reads_from_a_layer_above_its_own(manifest: Any) -> None:
    place = {name: n for n, name in enumerate(LAYERS)}
    models = {model.unique_id: model.fqn[1] for model in list_models(manifest)}
    assert set(models.values()) == set(LAYERS)
    for node, layer in models.items():
        for parent in manifest.nodes[node].depends_on.nodes:
            assert place[models.get(parent, "staging")] <= place[layer], (node, parent)


def test_only_what_users_read_is_public(manifest: Any) -> None:
    for model in list_models(manifest):
        is_step = model.fqn[1] in ("staging", "intermediate") or "steps" in model.fqn
        assert (model.access == "private") == is_step, model.name


def test_only_staging_reads_sources_and_none_is_unread(manifest: Any) -> None:
    read = set()
    for model in list_models(manifest):
        sources = [node for node in model.depends_on.nodes if node in manifest.sources]
        assert not sources or model.fqn[1] == "staging", model.name
        read.update(sources)
    assert read == set(manifest.sources)


def test_a_model_follows_exactly_the_tables_that_it_reads(manifest: Any) -> None:
    nodes = manifest.nodes | manifest.sources

    def read(node: Any) -> set[str]:
        """The tables below it, through views, as meta.follows names them."""
        tables = set()
        for below in (nodes[name] for name in node.depends_on.nodes):
            if below.resource_type == "source":
                tables.add(f"{below.schema}.{below.identifier}")
            elif below.resource_type == "model" and below.config.materialized == "replaced_view":
                tables |= read(below)
            elif below.resource_type == "model":
                tables.add(below.name)
        return tables - {"ops.settings"}  # by their values: see change_cursor

    tables = [m for m in list_models(manifest) if m.config.materialized != "replaced_view"]
    following = {m.name: set(m.config.meta.get("follows", ())) for m in tables}
    differing = {m.name: read(m) ^ following[m.name] for m in tables if following[m.name]}
    assert len(differing) > 10
    assert {name: tables for name, tables in differing.items() if tables} == {}


def test_a_comment_describes_each_macro_that_models_use(manifest: Any) -> None:
    used = {name for model in list_models(manifest) for name in model.depends_on.macros}
    public = [manifest.macros[name] for name in used if name in manifest.macros]
    public = [macro for macro in public if macro.package_name == "quotemill"]
    assert len(public) > 30
    for macro in public:
        text = (ROOT / "dbt_project" / macro.original_file_path).read_text("utf-8")
        assert re.search(rf"#}}\n{{%-? macro {macro.name}\(", text), macro.name


def test_only_structure_has_error_severity(manifest: Any) -> None:
    structure = {"unique", "not_null", "accepted_values", "unique_combination"}
    structure |= {"schedule_is_whole", "segments_are_contiguous", "spans_are_contiguous"}
    structure |= {"no_nulls", "relationships"}  # on request alone: whole tables
    structure.add("holds")  # of seeds, which are reviewed as code is
    for node in manifest.nodes.values():
        if node.resource_type == "test" and node.config.severity.lower() == "error":
            assert node.test_metadata.name in structure, node.name
