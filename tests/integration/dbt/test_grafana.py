"""The dashboard for Grafana: its shape, and each of its queries on a warehouse."""

import json
import re
from itertools import combinations
from typing import Any

import jsonschema
import psycopg
import pytest

from tests.conftest import ROOT
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, NO_TESTS
from tests.integration.dbt.price_market import CODE, DAYS
from tests.integration.dbt.raw import bar, land, security, trading_day

pytestmark = MODELS

BOARD = json.loads((ROOT / "docs" / "grafana" / "quotemill.json").read_text("utf-8"))
PAGE = ROOT / "docs" / "how-to" / "integrations.md"
SOURCE = {
    "type": "object",
    "required": ["type", "uid"],
    "properties": {
        "type": {"const": "grafana-postgresql-datasource"},
        "uid": {"const": "${datasource}"},
    },
}
# what Grafana needs of a dashboard that is provisioned, of what this one uses
SCHEMA = {
    "type": "object",
    "required": ["title", "uid", "schemaVersion", "time", "templating", "panels"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "id": False,
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "title", "type", "gridPos", "datasource", "targets"],
                "properties": {
                    "type": {"enum": ["stat", "table", "timeseries"]},
                    "datasource": SOURCE,
                    "gridPos": {
                        "required": ["x", "y", "w", "h"],
                        "properties": {"w": {"maximum": 24}, "x": {"minimum": 0, "maximum": 23}},
                    },
                    "targets": {
                        "minItems": 1,
                        "items": {
                            "required": ["refId", "datasource", "format", "rawQuery", "rawSql"],
                            "properties": {
                                "datasource": SOURCE,
                                "format": {"enum": ["table", "time_series"]},
                                "rawQuery": {"const": True},
                            },
                        },
                    },
                },
            },
        },
        "templating": {
            "properties": {
                "list": {"items": {"required": ["name", "type", "query"]}},
            }
        },
    },
}
# as Grafana fills them in
MACROS = {
    r"\$__timeFilter\((\w+)\)": r"\1 between '2024-01-01T00:00:00Z' and '2100-01-01T00:00:00Z'",
    r"\$__timeFrom\(\)": "'2024-01-01T00:00:00Z'",
    r"\$__timeTo\(\)": "'2100-01-01T00:00:00Z'",
    r"\$\{code:sqlstring\}": f"'{CODE}'",
}


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    jsonschema.validate(BOARD, SCHEMA)
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for first, other in combinations(places, 2):
        apart = [
            first[axis] + first[size] <= other[axis] or other[axis] + other[size] <= first[axis]
            for axis, size in (("x", "w"), ("y", "h"))
        ]
        assert any(apart), (first, other)


def fill_in(text: str) -> str:
    for macro, value in MACROS.items():
        text = re.sub(macro, value, text)
    assert "$" not in text, text
    return text


@pytest.mark.long
def test_each_query_runs_as_a_reader_and_shows_what_is_there(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security(CODE)])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "kline_daily", [bar(CODE, day, "10") for day in DAYS])
    dbt("build", "-s", "+kline_daily_qfq", "+symbol_dim", *NO_TESTS)
    conn.execute("insert into ops.runs (run_id, command, host, pid) values ('r', 'run', 'h', 1)")
    for stage, source, name in (
        ("freshness", "tdx", "days_behind"),
        ("load", "tdx", "rows_new"),
        ("load", "tdx", "failed_keys"),
        ("build", "", "seconds"),
        ("space", "market.kline_daily", "bytes"),
    ):
        conn.execute(
            "insert into ops.metrics (run_id, stage, source, name, value, unit) "
            "values ('r', %s, %s, %s, 7, 'x')",
            (stage, source, name),
        )
    conn.execute("drop role if exists quotemill_reader")
    conn.execute("create role quotemill_reader")
    try:
        for schema in ("market", "qa"):
            conn.execute(f"grant usage on schema {schema} to quotemill_reader".encode())
            conn.execute(
                f"grant select on all tables in schema {schema} to quotemill_reader".encode()
            )
        [grants] = re.findall(
            r"^```sql\n(grant usage.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        conn.execute(grants.encode())
        conn.execute("set role quotemill_reader")
        seen: dict[str, list[Any]] = {}
        for panel in BOARD["panels"]:
            for target in panel["targets"]:
                cursor = conn.execute(fill_in(target["rawSql"]).encode())
                seen[panel["title"]] = cursor.fetchall()
                names = [column.name for column in cursor.description or []]
                if target["format"] == "time_series":
                    assert names == ["time", "metric", "value"]
        [code] = [v for v in BOARD["templating"]["list"] if v["name"] == "code"]
        assert conn.execute(code["query"].encode()).fetchall() == [(CODE,)]
    finally:
        conn.execute("reset role")
        conn.execute("drop owned by quotemill_reader")
        conn.execute("drop role quotemill_reader")
    assert seen["Days behind"] == [("tdx", 7.0)]
    assert len(seen["Price of $code, forward-adjusted"]) == len(DAYS)
    assert [row[2] for row in seen["Turnover of the market"]] == [1_000_000.0] * len(DAYS)
    assert {title for title, rows in seen.items() if not rows} <= {"Findings"}
