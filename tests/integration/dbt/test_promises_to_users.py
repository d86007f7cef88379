"""What dbt's page and the contributor's page promise for models of users holds."""

import functools
import re
import textwrap
from datetime import date
from pathlib import Path

import psycopg
import pytest

from tests.dbt_parse import PROJECT, Dbt
from tests.integration.dbt.conftest import MODELS, wait_for_others
from tests.integration.dbt.raw import land, minute, session_minutes
from tests.integration.dbt.two_codes import CODES, DAYS, TWO_CODES, land_days

pytestmark = TWO_CODES

ROOT = PROJECT.parent
FOLLOWED = "{{ config(materialized='followed') }} select code, max(trade_date) as trade_date "
FOLLOWED += "from {{ ref('kline_daily') }} group by code"


@pytest.fixture
def mine(project: Path) -> Path:
    """The folder for models of a user in a checkout of its own."""
    return project / "models" / "mine"


def written_example(page: str, name: str) -> str:
    """The example of a page that has this text, without the line that names its file."""
    [text] = [
        block
        for block in re.findall(r"```text\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
        if name in block
    ]
    return re.sub(r"^-- dbt_project.*\n", "", text)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What dbt's commands print from now on."""
    from dbt.cli import main

    lines = list[str]()
    heard = functools.partial(main.dbtRunner, callbacks=[lambda e: lines.append(e.info.msg)])
    monkeypatch.setattr(main, "dbtRunner", heard)
    return lines


def rows_scanned(conn: psycopg.Connection) -> int:
    """How many landed minutes were read without an index so far."""
    wait_for_others(conn)
    query = "select seq_tup_read from pg_stat_all_tables where relid = %s::regclass"
    [(rows,)] = conn.execute(query, ("raw_tdx.kline_minute",))
    return int(rows)


def test_models_of_a_user_are_built_as_declared_or_say_what_to_declare(
    conn: psycopg.Connection, dbt: Dbt, mine: Path
) -> None:
    (mine / "without_key.sql").write_text(FOLLOWED, "utf-8")
    (mine / "thirds.sql").write_text(
        "{{ config(materialized='replaced_view', contract={'enforced': true}) }} "
        "select code, close / 3 as third from {{ ref('kline_daily') }}",
        "utf-8",
    )
    columns = "[{name: code, data_type: text}, {name: third, data_type: 'numeric(18, 3)'}]"
    (mine / "_mine.yml").write_text(f"models: [{{name: thirds, columns: {columns}}}]", "utf-8")
    (mine / "qa_mine.sql").write_text(
        "{{ config(schema='qa') }} select 'mine' as check_name, 'warning' as severity, code as "
        "subject, trade_date, 'a bar' as evidence from {{ ref('kline_daily') }} limit 1",
        "utf-8",
    )

    refused = dbt.fails("run", "-s", "without_key", "thirds", "qa_mine", "findings")

    assert refused.refuses("without_key", "unique_key=['code', 'trade_date']")
    # a view has the precision of its contract
    query = "select format_type(atttypid, atttypmod) from pg_attribute where attname = 'third'"
    assert conn.execute(query).fetchone() == ("numeric(18,3)",)
    assert conn.execute("select max(scale(third)) from market.thirds").fetchone() == (3,)
    # a check that is listed nowhere is one of the findings
    rows = conn.execute("select check_name, model from qa.findings where model = 'qa_mine'")
    assert rows.fetchall() == [("mine", "qa_mine")]


def test_a_test_that_a_selection_leaves_out_is_named(
    dbt: Dbt, mine: Path, printed: list[str]
) -> None:
    (mine / "held.sql").write_text("select 'sh999998' as code", "utf-8")
    (mine / "_mine.yml").write_text(
        "models: [{name: held, columns: [{name: code, data_tests: [{relationships: "
        "{arguments: {to: ref('symbol_dim'), field: code}}}]}]}]",
        "utf-8",
    )
    name = "relationships_held_code__code__ref_symbol_dim_"
    outcome = dbt("build", "-s", "held")
    assert outcome.statuses.get(name) is None
    assert [line for line in printed if line.startswith(f"left out: {name}, as symbol_dim is ")]
    printed.clear()
    eager = dbt.fails("build", "-s", "held", "--indirect-selection", "eager")
    assert eager.statuses[name] == "fail"
    assert not [line for line in printed if line.startswith("left out")]


def test_the_examples_of_a_followed_model_are_built(
    conn: psycopg.Connection, dbt: Dbt, mine: Path
) -> None:
    pages = {"spans": "CONTRIBUTING.md", "spans_qfq": "docs/how-to/dbt.md"}
    for name, page in pages.items():
        text = written_example(page, "materialized='followed'")
        (mine / f"{name}.sql").write_text(textwrap.dedent(text), "utf-8")
    models = ("run", "-s", *(f"+{name},config.materialized:followed" for name in pages))
    first = dbt(*models)
    land_days(conn, DAYS[30:31])
    again = dbt(*models)
    for name in pages:
        assert (first.written[name], again.written[name]) == (60, 2)


def test_the_textbook_model_reads_only_new_days(
    conn: psycopg.Connection, dbt: Dbt, mine: Path
) -> None:
    def land_minutes(*days: date) -> None:
        for day in days:
            ends = session_minutes(day)
            land(conn, "kline_minute", [minute(code, end, "10") for code in CODES for end in ends])
        conn.execute("analyze raw_tdx.kline_minute")

    text = written_example("docs/how-to/dbt.md", "amount_cny > 1000000")
    text = text.replace("1000000", "1")
    (mine / "large_days.sql").write_text(text, "utf-8")
    minutes = text.replace("kline_daily", "kline_minute_raw")
    (mine / "large_minutes.sql").write_text(minutes, "utf-8")
    land_minutes(*DAYS[:29])
    models = ("run", "-s", "large_days", "+large_minutes")
    first = dbt(*models)
    land_minutes(DAYS[29])
    land_days(conn, DAYS[30:31])
    scanned = rows_scanned(conn)
    again = dbt(*models)
    assert first.written["large_minutes"] == 2 * 240 * 29
    assert (first.written["large_days"], again.written["large_days"]) == (60, 2)
    assert again.written["large_minutes"] == 2 * 240
    assert rows_scanned(conn) == scanned


@MODELS
def test_bars_as_of_a_day_have_the_columns_of_their_tables(conn: psycopg.Connection) -> None:
    described = "select * from market.{} limit 0"
    functions = conn.execute(
        "select proname from pg_proc where pronamespace = 'market'::regnamespace "
        "and proname like '%\\_as\\_of' order by 1"
    ).fetchall()
    for (function,) in functions:
        table = function.removesuffix("_as_of")
        names = [
            [c.name for c in conn.execute(described.format(read).encode()).description or ()]
            for read in (table, f"{function}('2024-06-03')")
        ]
        assert names[0] == names[1], table
    assert len(functions) == 8
