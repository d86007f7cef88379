"""Seeds are typed by dbt; a line that breaks a rule stops what reads it, and is named."""

import re
from pathlib import Path

import psycopg
import pytest

from orchestration.run import build
from orchestration.run.build_result import summarize
from quotemill.warehouse.postgres import Warehouse
from tests.bench import settings_at
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import add_line

# all is built; a test writes lines into the tables of seeds
pytestmark = MODELS
AMOUNTS = ("cash_per10_yuan", "bonus_total_per10", "rights_per10", "rights_price_yuan")
OVERRIDE_CELLS = ("code", "ex_date", "action", "category", *AMOUNTS, "split_ratio", "reason")
# a line that counts, and what breaks one rule in a cell of it
SEEDS: dict[str, tuple[tuple[str, ...], str, dict[str, tuple[str, ...]]]] = {
    "corporate_action_overrides": (
        OVERRIDE_CELLS,
        "sh600000,2024-01-10,add,,1.5,,,,,checked",
        {
            "code": ("", "x", "600000", "sh60000", "SH600000", "600000.SH"),
            "ex_date": ("", "1899-12-31", "1990-12-18", "infinity"),
            "action": ("", "x", "delete", "Add"),
            **dict.fromkeys(AMOUNTS, ("-1", "1000001", "NaN")),
            "split_ratio": ("-1", "2"),
            "reason": ("",),
        },
    ),
    "us_corporate_actions": (
        ("symbol", "ex_date", "type", "ratio_num", "ratio_den", "source"),
        "BRK B,2030-08-31,split,4,1,test",
        {
            "symbol": ("", "0", "-1", "苹果", "A" * 12, "BRK.B"),
            "ex_date": ("", "infinity"),
            "type": ("", "x", "spilt"),
            "ratio_num": ("", "0", "-1", "1000001", "NaN"),
            "ratio_den": ("", "0", "-1", "1000001", "NaN"),
        },
    ),
    "code_changes_known": (
        ("old_code", "new_code", "valid_from", "source"),
        "bj430047,bj920047,2025-10-09,notice",
        {
            "old_code": ("", "x", "none", "43004", "430047.BJ"),
            "new_code": ("", "x", "non", "9200470", "bj430047"),
            "valid_from": ("", "infinity"),
            "source": ("",),
        },
    ),
    "price_limits": (
        (
            "board",
            "valid_from",
            "limit_percent",
            "st_limit_percent",
            "days_without_limit",
            "source",
        ),
        "main,2027-01-04,10,5,5,notice",
        {
            "board": ("", "x", "sz", "Main"),
            "valid_from": ("", "infinity"),
            "limit_percent": ("", "0", "-1", "101", "1.005", "NaN"),
            "st_limit_percent": ("", "0", "-1", "101", "1.005", "NaN"),
            "days_without_limit": ("", "-1", "251"),
            "source": ("",),
        },
    ),
}


def with_cell(line: str, place: int, value: str) -> str:
    cells = line.split(",")
    cells[place] = value
    return ",".join(cells)


# of a seed, cells that go together: lines that count, and lines that break one rule
OVERRIDE = "corporate_action_overrides"
TOGETHER = ("add,11,,,,,2", "replace,11,,,,,0.5", "remove,11,,,,,", "add,5,,,,,")
NOT_TOGETHER = ("add,11,,,,,", "add,11,,,,,0", "add,5,1,,,,", "add,0,,,,,", "add,15,,,,,")


def test_each_wrong_line_of_a_seed_breaks_a_rule_and_a_second_one_its_key(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    rules = ("test", "--select", *SEEDS)
    wrong_lines: dict[str, list[str]] = {}
    for seed, (names, good, wrong) in SEEDS.items():
        assert wrong.keys() <= set(names)
        wrong_lines[seed] = [
            with_cell(good, names.index(name), value)
            for name, values in wrong.items()
            for value in values
        ]
        conn.execute(f"delete from quotemill_intermediate.{seed}".encode())
        add_line(conn, seed, good)
    for line in TOGETHER:
        add_line(conn, OVERRIDE, f"sz000002,2024-01-10,{line},seen")
    wrong_lines[OVERRIDE] += [f"sz000003,2024-01-10,{line},seen" for line in NOT_TOGETHER]
    keys = {name for name in dbt(*rules).statuses if name.startswith("unique_")}
    assert len(keys) == len(SEEDS)

    for seed, lines in wrong_lines.items():
        for line in (*lines, SEEDS[seed][1]):
            add_line(conn, seed, line)

    tested = dbt.fails(*rules)
    counts = map(int, re.findall(r"Got (\d+) results", tested.error))
    assert sorted(counts) == sorted(map(len, wrong_lines.values()))
    assert {tested.statuses[name] for name in keys} == {"fail"}


def test_a_build_names_the_line_that_breaks_a_rule(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    tmp_path: Path,
    quick_builds: None,
) -> None:
    add_line(conn, "price_limits", "main,2027-01-04,101,5,5,notice")
    settings = settings_at(warehouse.url, tmp_path)
    command = ["test", "--select", "price_limits,test_name:holds"]

    outcome = build.invoke(settings, warehouse, command, quiet=True)

    result = summarize(warehouse, 1, "test", outcome, 1.0)
    [finding] = result.findings
    assert (finding.status, result.exit_code) == ("fail", 5)
    assert finding.message == (
        "limit_percent breaks the rule limit_percent > 0 and limit_percent <= 100 and "
        "limit_percent = round(limit_percent, 2) in "
        '{"board": "main", "source": "notice", "valid_from": "2027-01-04", "limit_percent": 101, '
        '"st_limit_percent": 5, "days_without_limit": 5}; '
        "fix: correct seeds/price_limits.csv, then quotemill build"
    )


@pytest.mark.parametrize("key", ["ib_universe_mistakes", "tdx_instrument_range_mistakes"])
def test_wrong_lines_of_files_that_the_loaders_read_are_findings(
    conn: psycopg.Connection, key: str
) -> None:
    mistakes = "b.csv, line 3: weight 'x' is not a number\nown.csv, line 4: fewer cells"
    conn.execute("insert into ops.settings values (%s, %s)", (key, mistakes))
    assert conn.execute(
        "select subject, split_part(evidence, '. ', 1), evidence ~ '; fix: .*quotemill build$' "
        "from qa.findings where check_name = 'seed_line' order by 1"
    ).fetchall() == [
        ("b.csv, line 3", "weight 'x' is not a number", True),
        ("own.csv, line 4", "fewer cells", True),
    ]


def test_a_seed_keeps_its_table_unless_its_columns_change(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    seed = "quotemill_intermediate.price_limits"
    relation = f"select '{seed}'::regclass::oid, count(*) from {seed}"
    before = conn.execute(relation.encode()).fetchone()
    assert before is not None
    for arguments in ((), ("--full-refresh",)):
        dbt("seed", "-s", "price_limits", *arguments)
        assert conn.execute(relation.encode()).fetchone() == before

    # as an earlier version had it, under views
    conn.execute(f"drop table {seed} cascade".encode())
    conn.execute(f"create table {seed} (board text, valid_from text, line integer)".encode())
    conn.execute(f"create view public.on_seed as select board from {seed}".encode())

    refused = dbt.fails("build", "-s", "price_limits+")
    assert refused.refuses("price_limits", "public.on_seed", "--full-refresh")
    conn.execute("drop view public.on_seed")
    dbt("build", "-s", "price_limits+")
    types = conn.execute(
        "select data_type from information_schema.columns where table_name = 'price_limits' "
        "order by ordinal_position"
    )
    assert [name for (name,) in types] == ["text", "date", *["numeric"] * 2, "integer", "text"]
    assert conn.execute("select to_regclass('market.stock_limits') is not null").fetchone() == (
        True,
    )
