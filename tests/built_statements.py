"""The SQL that macros send to the server in a build, which no file has, to be linted.

dbt's templater renders models and the macros that they call; not hooks, materializations, and the
generic tests. So a small market is built twice, the second time with a day more.
"""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.raw import bar, land, security, trading_day, weekdays

PROJECT = Path(__file__).parent.parent / "dbt_project"
BUILT = ["--select", "+kline_weekly_qfq", "+main_segments", "--exclude", "resource_type:unit_test"]
# one model of each materialization, one of them built from what changed; other models would repeat
# their statements
NODES = {"corporate_action_overrides", "stg_tdx__security", "trading_calendar", "kline_weekly_qfq"}
CODE, DAYS = "sh600000", weekdays(date(2024, 1, 1), 8)
# what statements of dbt's own macros have in common; and of ours with a name that it writes
DBT_OWN = re.compile(
    r"__dbt_sbq|dependent_namespace|INFORMATION_SCHEMA|select distinct nspname"
    r"|^create +(unique )?index"
)


def write_statements(warehouse: Warehouse, folder: Path) -> bool:
    """Build, and write a file for each shape of the statements that ran; return the success."""
    statements: dict[str, str] = {}

    def add(event: Any) -> None:
        if event.info.name != "SQLQuery":
            return
        sql = re.sub(r"/\* \{.*?\} \*/", "", event.data.sql, flags=re.DOTALL).strip().rstrip(";")
        kind, _, node = event.data.conn_name.rpartition(".")
        is_wanted = kind.startswith("test.") or node == "master" or node in NODES
        # sqlfluff skips longer ones, which list all columns
        is_wanted = is_wanted and " " in sql and len(sql) < 20_000
        if is_wanted and not DBT_OWN.search(sql):
            # what dbt puts around the query of a test
            test = re.fullmatch(
                r"select\s+count\(\*\) as failures.*?from \((.*)\) dbt_internal_test\s*",
                sql,
                re.DOTALL,
            )
            sql = test[1].strip() if test else sql
            statements.setdefault(re.sub(r"'[^']*'|\d+", "", sql), f"{sql};\n")

    with warehouse.connect(autocommit=True) as conn:
        land(conn, "security", [security(CODE)])
    succeeded = True
    for days in (DAYS[:6], DAYS[6:]):
        with warehouse.connect(autocommit=True) as conn:
            land(conn, "trading_day", [trading_day(day) for day in days])
            land(conn, "kline_daily", [bar(CODE, day, "10") for day in days])
        succeeded = _build(add) and succeeded
    for number, sql in enumerate(statements.values()):
        (folder / f"{number:03}.sql").write_text(sql, "utf-8")
    return succeeded


def _build(add: Callable[[Any], None]) -> bool:
    from dbt.cli.main import dbtRunner

    arguments = ["build", *BUILT, "--project-dir", str(PROJECT), "--quiet"]
    return bool(dbtRunner(callbacks=[add]).invoke(arguments).success)
