"""SQL of tables that Citus distributes keeps to forms that it takes; sizes of models."""

import re
from pathlib import Path

import pytest

from loaders.warehouse.migration_files import shipped

ROOT = Path(__file__).parents[2]
# what reads and writes landed minutes and ticks: landing, and what makes the models of them
FOLDERS = ("loaders/landing", "loaders/warehouse", "loaders/tdx/queries")
MACROS = ("changes", "citus", "materializations", "rollup")
DISTRIBUTED = {"stg_tdx__kline_minute", "stg_tdx__tick_trade"}
# what is refused, and what says the same; temporary tables are called _so
REFUSED = {
    r"\bselect([ \t]+|\n[ \t]+)from\b": "select 1 from",
    r"\bdrop\s+(view|table)\s+(if\s+exists\s+)?pg_temp\.": "its name without the schema",
    r"\bdelete\s+from\s+(?!_)\S+(\s+as\s+\w+)?[\s\"f]+using\s+_": (
        "a materialized CTE of the temporary table"
    ),
    r"\bcreate\s+(constraint\s+)?trigger\b": "the change feed, which the writers append to",
}


def list_models() -> list[Path]:
    """The models that read a distributed table, by themselves or through others."""
    files = {path.stem: path for path in (ROOT / "dbt_project" / "models").rglob("*.sql")}
    reads = {
        name: set(re.findall(r"ref\('(\w+)'\)", path.read_text("utf-8")))
        for name, path in files.items()
    }
    distributed = set(DISTRIBUTED)
    while more := {name for name, read in reads.items() if read & distributed} - distributed:
        distributed |= more
    return [files[name] for name in sorted(distributed)]


def written() -> list[Path]:
    folders = [ROOT / name for name in FOLDERS] + [ROOT / "macros" / name for name in MACROS]
    files = [p for folder in folders for p in folder.rglob("*") if p.suffix in (".sql", ".py")]
    models = list_models()
    assert {"kline_5m", "tick_trade_raw"} <= {path.stem for path in models}
    return [*files, *models]


@pytest.mark.parametrize(("form", "instead"), REFUSED.items(), ids=REFUSED.values())
def test_no_sql_that_a_distributed_postgres_refuses(form: str, instead: str) -> None:
    pattern = re.compile(form, re.IGNORECASE)
    wrong = [
        f"{path.relative_to(ROOT)}: {match.group()!r}: write {instead}"
        for path in written()
        for match in pattern.finditer(path.read_text("utf-8"))
    ]
    assert wrong == []


def test_later_migrations_make_nothing_that_may_be_there() -> None:
    """A migration can run again where what it makes is there."""
    first, *later = sorted((ROOT / "loaders" / "warehouse" / "migrations").glob("*.sql"))
    assert first.name == "0001_release.sql"
    assert later
    made = r"\b(?:create\s+(?:table|(?:unique\s+)?index|sequence)|add\s+column)\s+"
    made += r"(?!if not exists)\S+|\bcreate\s+(?:view|function|procedure|type|domain)\s+\S+"
    made_by = {path.name: re.findall(made, path.read_text("utf-8").lower()) for path in later}
    assert {name: wrong for name, wrong in made_by.items() if wrong} == {}


def test_dbt_knows_the_newest_migration() -> None:
    text = (ROOT / "macros" / "warehouse" / "newest_migration.sql").read_text("utf-8")
    assert re.findall(r"return\('(.*)'\)", text) == [shipped()[-1]]


def test_no_model_is_longer_than_two_hundred_lines() -> None:
    models = list((ROOT / "dbt_project" / "models").rglob("*.sql"))
    assert len(models) > 100
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in models}
    assert {name: count for name, count in lines.items() if count > 200} == {}


def test_staging_spells_no_value_by_its_macro_alone() -> None:
    """`none_if_unset` has the rule; a flag's empty text is a list without one."""
    own = r"nullif\(|'NaN'|2147483647|9223372036854775807|1\.797"
    staging = (ROOT / "dbt_project/models/staging").rglob("*.sql")
    assert [path.name for path in staging if re.search(own, path.read_text("utf-8"))] == []
