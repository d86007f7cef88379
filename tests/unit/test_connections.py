"""All sessions begin in one place for each driver, where they get our settings."""

import ast
import re

from tests.conftest import ROOT

# of psycopg, and of psycopg2 for dlt; dbt opens its own
PLACES = {"quotemill/warehouse/connections.py", "loaders/landing/dlt_client.py"}
DRIVERS = re.compile(r"(psycopg2?|asyncpg|adbc_\w+|kind)\b|(Async)?Connection$")


def test_a_session_is_opened_only_where_it_gets_our_settings() -> None:
    opening = set()
    for folder in ("quotemill", "loaders", "orchestration"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                if called.endswith(".connect") and DRIVERS.match(called.removesuffix(".connect")):
                    opening.add(path.relative_to(ROOT).as_posix())
    assert opening == PLACES
