"""A wrong line of a file in seeds/ is a finding and does not count; the other lines do."""

import shutil
from datetime import date
from pathlib import Path

import psycopg
import pytest

from orchestration.run.seed_files import readable_seeds
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt import conftest
from tests.integration.dbt.conftest import Dbt
from tests.integration.dbt.raw import action, add_line, bar, land, security, trading_day, weekdays

# all is built; a test lands its rows and builds the tables
pytestmark = pytest.mark.usefixtures("models")
OVERRIDES, US = "corporate_action_overrides", "us_corporate_actions"
OVERRIDES_TABLE = f"quotemill_intermediate.{OVERRIDES}"
DAYS = weekdays(date(2024, 1, 1), 30)
GOOD = "sh600000,2024-01-10,add,,1.5,,,,,checked"
AMOUNTS = ("cash_per10_yuan", "bonus_total_per10", "rights_per10", "rights_price_yuan")
CELLS = ("code", "ex_date", "action", "category", *AMOUNTS, "split_ratio", "reason")
# written, and the field that breaks a rule; "" where the line counts
RUBBISH: dict[str, list[tuple[str, str]]] = {
    "code": [(v, "code") for v in ("", "x", "0", "-1", "1e99", "6000000", "sh60000", "600000.HK")],
    "ex_date": [
        (v, "ex_date")
        for v in ("", "x", "0", "-1", "2024-02-30", "2024-13-01", "10-01-2024", "2024-1", "2024123")
    ]
    + [("1899-12-31", "ex_date"), ("1990-12-18", "ex_date"), ("20240110x", "ex_date")],
    "action": [(v, "action") for v in ("", "x", "0", "delete", "ad")],
    "category": [(v, "category") for v in ("x", "0", "-1", "15", "1.5", "9999999999")],
    **{
        name: [(v, name) for v in ("x", "-1", "1e300", "NaN", "1_000", "9999999999", "1.", "--1")]
        for name in AMOUNTS
    },
    "split_ratio": [(v, "split_ratio") for v in ("x", "-1", "2", "1e300", "9999999999")],
    "reason": [("", "reason")],
}
US_GOOD = "AAPL,2030-08-31,split,4,1,test"
US_CELLS = ("symbol", "ex_date", "type", "ratio_num", "ratio_den", "source")
US_RUBBISH: dict[str, list[tuple[str, str]]] = {
    "symbol": [(v, "symbol") for v in ("", "0", "-1", "苹果", "A" * 12)],
    "ex_date": [(v, "ex_date") for v in ("", "x", "0", "2030-02-30", "31/08/2030")],
    "type": [(v, "type") for v in ("", "x", "0", "spilt")],
    "ratio_num": [(v, "ratio_num") for v in ("", "x", "0", "-1", "1e300", "99999999")],
    "ratio_den": [(v, "ratio_den") for v in ("", "x", "0", "-1", "1e300", "99999999")],
}

CODE_GOOD = "bj430047,bj920047,2025-10-09,notice"
CODE_CELLS = ("old_code", "new_code", "valid_from", "source")
CODE_RUBBISH: dict[str, list[tuple[str, str]]] = {
    "old_code": [(v, "old_code") for v in ("", "x", "none", "43004", "430047.HK")],
    "new_code": [(v, "new_code") for v in ("", "x", "non", "9200470")] + [("bj430047", "new_code")],
    "valid_from": [(v, "valid_from") for v in ("", "soon", "2025-02-30", "09/10/2025", "20251")],
    "source": [("", "source")],
}
LIMIT_GOOD = "main,2027-01-04,10,5,5,notice"
LIMIT_CELLS = (
    "board",
    "valid_from",
    "limit_percent",
    "st_limit_percent",
    "days_without_limit",
    "source",
)
PERCENTS = ("", "x", "0", "-1", "101", "1.005", "10%", "1e300", "999999999999")
LIMIT_RUBBISH: dict[str, list[tuple[str, str]]] = {
    "board": [(v, "board") for v in ("", "x", "sz", "mainn")],
    "valid_from": [(v, "valid_from") for v in ("", "x", "2027-02-30", "4.1.2027")],
    "limit_percent": [(v, "limit_percent") for v in PERCENTS],
    "st_limit_percent": [(v, "st_limit_percent") for v in PERCENTS],
    "days_without_limit": [
        (v, "days_without_limit") for v in ("", "x", "-1", "1.5", "99999999999")
    ],
    "source": [("", "source")],
}


def with_cell(line: str, place: int, value: str) -> str:
    cells = line.split(",")
    cells[place] = value
    return ",".join(cells)


def findings(conn: psycopg.Connection) -> dict[int, str]:
    """The evidence of each finding about a line of the files, by its number."""
    rows = conn.execute(
        "select subject, evidence from qa.findings where check_name = 'seed_line' "
        "and severity = 'error' order by 1"
    ).fetchall()
    return {int(subject.rpartition(" ")[2]): evidence for subject, evidence in rows}


def write_lines(conn: psycopg.Connection, seed: str, *lines: str) -> None:
    conn.execute(f"delete from quotemill_intermediate.{seed}".encode())
    for line in lines:
        add_line(conn, seed, line)


@pytest.mark.parametrize(
    ("seed", "cells", "good", "rubbish", "counted"),
    [
        (
            OVERRIDES,
            CELLS,
            GOOD,
            RUBBISH,
            "quotemill_intermediate.int_corporate_actions__overrides",
        ),
        (US, US_CELLS, US_GOOD, US_RUBBISH, "quotemill_intermediate.int_option_actions__listed"),
        (
            "code_changes_known",
            CODE_CELLS,
            CODE_GOOD,
            CODE_RUBBISH,
            "quotemill_staging.stg_seeds__code_change where rule is null",
        ),
        (
            "price_limits",
            LIMIT_CELLS,
            LIMIT_GOOD,
            LIMIT_RUBBISH,
            "quotemill_staging.stg_seeds__price_limit where rule is null",
        ),
    ],
)
def test_rubbish_in_any_column_is_a_finding_and_costs_its_line(
    conn: psycopg.Connection,
    seed: str,
    cells: tuple[str, ...],
    good: str,
    rubbish: dict[str, list[tuple[str, str]]],
    counted: str,
) -> None:
    assert rubbish.keys() <= set(cells)
    cases = [(cells.index(name), *case) for name, values in rubbish.items() for case in values]
    lines = [with_cell(good, place, value) for place, value, _ in cases]

    write_lines(conn, seed, *lines, good)

    named = findings(conn)
    assert [n for n in range(2, len(lines) + 2) if n not in named] == []
    for number, (_, value, field) in enumerate(cases, 2):
        evidence = named[number]
        assert evidence.startswith(f"{field} = {value or 'empty'} breaks the rule: "), evidence
        assert f"correct line {number} of seeds/{seed}.csv" in evidence
    assert len(named) == len(cases)
    rows = conn.execute(f"select count(*) from {counted}".encode())
    assert rows.fetchone() == (1,)


@pytest.mark.parametrize("key", ["ib_universe_mistakes", "tdx_instrument_range_mistakes"])
def test_wrong_lines_of_files_that_the_loaders_read_are_findings(
    conn: psycopg.Connection, key: str
) -> None:
    mistakes = "b.csv, line 3: weight 'x' is not a number\nown.csv, line 4: fewer cells"
    conn.execute("insert into ops.settings values (%s, %s)", (key, mistakes))
    rest = ". This line does not count, the others do; fix: correct the line"
    assert conn.execute(
        "select subject, evidence from qa.findings where check_name = 'seed_line' order by 1"
    ).fetchall() == [
        ("b.csv, line 3", f"weight 'x' is not a number{rest}"),
        ("own.csv, line 4", f"fewer cells{rest}"),
    ]


def test_codes_and_days_count_in_their_usual_forms(conn: psycopg.Connection) -> None:
    forms = ["600000", "600000.SH", "sh600000", "SHSE.600000", "SH600000", "600000.XSHG"]
    days = ["2024-01-10", "2024/1/10", "20240110", "2024/01/10", " 2024-1-10 ", '"2024-01-10"']
    lines = [
        f"{code},{day},Add,,{number},,,,,checked"
        for number, (code, day) in enumerate(zip(forms, days, strict=True))
    ]
    others = ["000001,2024-01-10,remove,,,,,,,a", "920001,2024-01-10,remove,,,,,,,a"]
    quoted = ['"sz000002","2024-01-10","add","11","","","","","2","split, ""by"" two"']

    write_lines(conn, OVERRIDES, *lines, *others, ",,,,,,,,, ", *quoted)

    read = "select distinct code, ex_date from quotemill_intermediate.int_corporate_actions__"
    codes = conn.execute(f"{read}overrides order by 1".encode()).fetchall()
    day = date(2024, 1, 10)
    assert codes == [(code, day) for code in ("bj920001", "sh600000", "sz000001", "sz000002")]
    assert findings(conn) == {}
    reason = "select reason from quotemill_intermediate.int_corporate_actions__overrides where "
    assert conn.execute(f"{reason} line = 11".encode()).fetchone() == ('split, "by" two',)


def test_the_letter_of_a_share_class_follows_a_blank(conn: psycopg.Connection) -> None:
    lines = [f"{name},2030-0{n}-01,split,4,1,test" for n, name in enumerate(("BRK.B", "brk_b"), 1)]
    write_lines(conn, US, *lines)
    read = "select distinct symbol from quotemill_staging.stg_seeds__us_corporate_action"
    assert (conn.execute(read.encode()).fetchall(), findings(conn)) == ([("BRK B",)], {})


def test_a_line_that_is_there_twice_counts_once(conn: psycopg.Connection) -> None:
    write_lines(conn, OVERRIDES, GOOD, GOOD.replace("checked", "again"), GOOD)
    write_lines(conn, US, US_GOOD)

    assert {n: text.partition(".")[0] for n, text in findings(conn).items()} == {
        3: "repeats line 2",
        4: "repeats line 2",
    }
    refused = "select code from quotemill_intermediate.int_corporate_actions__unread"
    assert conn.execute(refused.encode()).fetchall() == []


def test_prices_without_a_refused_override_are_marked(conn: psycopg.Connection, dbt: Dbt) -> None:
    land(conn, "security", [security(code) for code in ("sh600000", "sh600001", "sh600002")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "kline_daily", [bar(f"sh60000{n}", day, "10") for n in range(3) for day in DAYS])
    landed = action("sh600002", DAYS[9], bonus_total_per10="-10")  # leaves no share
    land(conn, "corporate_action", [landed])
    add_line(conn, OVERRIDES, f"sh600000,{DAYS[9]},add,,1,,,,,checked")
    add_line(conn, OVERRIDES, f"600001.SH,{DAYS[9]},add,,,-10,,,,a typo")

    built = dbt("run", "-s", "+kline_daily_qfq,config.materialized:followed")

    assert built.success, built.error
    rows = conn.execute(
        "select code, close::float, has_refused_action from market.kline_daily_qfq "
        "where trade_date = %s order by code",
        (DAYS[0],),
    )
    assert rows.fetchall() == [
        ("sh600000", 9.9, False),
        ("sh600001", 10, True),
        ("sh600002", 10, False),
    ]
    errors = "select check_name, subject from qa.findings where severity = 'error' order by 1"
    assert conn.execute(errors.encode()).fetchall() == [
        ("action_without_shares", "sh600002"),
        ("seed_line", f"seeds/{OVERRIDES}.csv line 3"),
    ]


@pytest.fixture
def edited_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dbt: Dbt) -> Path:
    """The folder seeds/ of a copy of the project, which `dbt` then builds."""
    root = conftest.PROJECT.parent
    for part in ("dbt_project", "macros", "seeds", "tests/dbt", "docs/dbt"):
        ignored = shutil.ignore_patterns("target", "logs")
        shutil.copytree(root / part, tmp_path / "copy" / part, ignore=ignored)
    monkeypatch.setattr(conftest, "PROJECT", tmp_path / "copy" / "dbt_project")
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    return tmp_path / "copy" / "seeds"


@pytest.mark.long
def test_a_file_that_dbt_cannot_read_costs_a_line_or_keeps_the_lines_of_before(
    conn: psycopg.Connection, dbt: Dbt, edited_seeds: Path, tmp_path: Path, warehouse: Warehouse
) -> None:
    header, wrong = ",".join(CELLS), "sh600001,2024-01-10,add,,1,,,,,分红"
    path = edited_seeds / f"{OVERRIDES}.csv"
    relation = f"select '{OVERRIDES_TABLE}'::regclass::oid"

    def seed(content: bytes | None, *arguments: str) -> list[str]:
        path.unlink() if content is None else path.write_bytes(content)
        with readable_seeds(edited_seeds, tmp_path / "copies", warehouse):
            built = dbt("seed", "-s", OVERRIDES, *arguments)
        assert built.success, built.error
        counted = "select code from quotemill_intermediate.int_corporate_actions__overrides"
        return [code for (code,) in conn.execute(counted.encode())]

    before = conn.execute(relation.encode()).fetchone()
    assert seed(f"{header}\n\n{wrong}\n{GOOD}\n".encode("gbk")) == ["sh600000"]
    rest = f"; fix: correct line 3 of seeds/{OVERRIDES}.csv, then quotemill build"
    others = ". This line does not count, the others do"
    named = "must be UTF-8 text; save the file in this encoding"
    assert findings(conn) == {3: f"{named}{others}{rest}"}
    refused = "select code from quotemill_intermediate.int_corporate_actions__unread"
    assert conn.execute(refused.encode()).fetchall() == [("sh600001",)]
    comma = GOOD.replace("1.5", "1,5").replace("600000", "600001")
    assert seed(f"{header}\n{GOOD}\n{comma}\n".encode()) == ["sh600000"]
    named = "must have the cells of the header; quote a comma"
    assert findings(conn) == {3: f"{named}{others}{rest}"}
    assert seed(f"{header}\n{GOOD}\n".encode(), "--full-refresh") == ["sh600000"]
    for _ in range(2):
        for content, lacking in ((None, CELLS), (f"{header},CODE\n".encode(), CELLS[:1])):
            path.touch()
            assert seed(content) == ["sh600000"]
            named = "the file is missing or empty, or its header lacks " + ", ".join(lacking)
            rest = f"; fix: correct line 1 of seeds/{OVERRIDES}.csv, then quotemill build"
            assert findings(conn) == {1: f"{named}. The lines of before count{rest}"}
    assert seed(f"{header}\n".encode()) == []
    assert findings(conn) == {}
    assert conn.execute(relation.encode()).fetchone() == before


def test_tables_of_an_earlier_version_get_the_numbers_of_their_lines(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    schema, unnumbered = "quotemill_intermediate", "ib_error_codes"
    own = "alter column line drop identity, alter column line drop not null"
    conn.execute(f"alter table {schema}.{US} {own}".encode())
    conn.execute(f"alter table {schema}.{unnumbered} drop column line".encode())

    built = dbt("seed", "-s", US, unnumbered)

    assert built.success, built.error
    for name in (US, unnumbered):
        numbers = f"select min(line), count(distinct line) = count(*) from {schema}.{name}"
        assert conn.execute(numbers.encode()).fetchone() == (2, True)
