"""A whole run on the oldest major of PostgreSQL that quotemill supports."""

from loaders.warehouse.embedded import server as embedded
from tests.client_folder import LAST, write_folder
from tests.e2e.commands import Place
from tests.homes import new_home
from tests.integration.warehouse.conftest import require_debian

DATED = ("status", "findings", "doctor", "report")


def test_load_build_and_questions_work_on_postgresql_15() -> None:
    programs = require_debian()
    with new_home() as base:
        at = f"--as-of={LAST}T18:00"
        client, home = base / "client", base / "home"
        write_folder(client, 4, 60)
        place = Place(
            base,
            home,
            {"QUOTEMILL_SERVER__PROGRAMS": str(programs), "QUOTEMILL_TDX__CLIENT": str(client)},
        )
        try:
            for _ in range(2):
                done = place.forked("quotemill", "run", at)
                assert done.returncode == 0, done.stderr
            assert (home / "postgres" / "PG_VERSION").read_text().strip() == "15"
            for command in (*DATED, "loads", "backup"):
                done = place.forked("quotemill", command, *([at] if command in DATED else []))
                assert done.returncode == 0, (command, done.stderr)
        finally:
            embedded.stop(home)
