"""`Run it` on the first page, pressed in a browser: the command runs, and what was wrong goes."""

from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest

from loaders.settings import load_settings
from tests.browser import Browser
from tests.dbt_parse import Parsed
from tests.e2e.commands import Place, printed_sandbox
from tests.e2e.console.conftest import AS_OF, Server

LARGE = ("--codes", "60", "--days", "300")  # so much a self-test asks for
BROKEN = """
    insert into raw_tdx.sector_member
        (sector_kind, sector_name, member, valid_from, source_route, fetched_at, is_final)
    values ('nothing', 'nothing', 'sh600000', '2025-06-02', '', now(), true)
"""
PRESS = "document.querySelector('#problems form:has(input[value=\"{}\"]) button').click()"


@pytest.mark.long
def test_do_it_repairs_a_failed_self_test_and_a_failed_build(
    tmp_path: Path,
    built_dsn: str,
    parsed: Parsed,
    start_console: Callable[..., Server],
    chromium: Browser,
) -> None:
    with printed_sandbox("tdx", 0, *LARGE, "--fault", "empty:kline-all") as (_, printed):
        settings = {
            "QUOTEMILL_TDX__BASE_URL": "http://" + printed["line"].split("http://")[1].split()[0],
            "QUOTEMILL_WAREHOUSE_URL": built_dsn,
            "DBT_PROFILES_DIR": str(tmp_path),
        }
        place = Place(tmp_path, tmp_path / "home", settings)
        parsed.give(load_settings(place.environment(), place.folder))
        assert place.forked("loaders", "selftest", "tdx", "--as-of", AS_OF).returncode == 5
        with psycopg.connect(built_dsn) as conn:
            conn.execute(BROKEN)
        assert place.forked("quotemill", "build").returncode == 5
        server = start_console(place, "--port", "0", "--as-of", AS_OF)
        httpx.delete(f"{printed['control']}/faults")
        with psycopg.connect(built_dsn) as conn:
            conn.execute("delete from raw_tdx.sector_member")
        for command, wrong in (
            ("loaders selftest tdx", "checks failed"),
            ("quotemill build", "failed: accepted_values_sectors"),
        ):
            page = chromium.open(f"{server.url}/")
            assert sum(wrong in row[0] for row in page.table("problems")) == 1
            page.ask(PRESS.format(command))
            page.wait_for("location.pathname.startsWith('/commands/')")
            page.wait_for("document.querySelector('#state .good, #state .bad') !== null")
            assert page.texts("#state > span") == ["succeeded"]
            after = chromium.open(f"{server.url}/")
            assert not [row for row in after.table("problems") if wrong in row[0]]
