"""Part of `make lint`: sqlfluff over models, and over what macros send to the server."""

import os
import subprocess
import sys
from pathlib import Path

from loaders.settings import load_settings
from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.profiles import write_profile
from tests.built_statements import write_statements
from tests.homes import new_home

ROOT = Path(__file__).parent.parent
# no layout; and what statements need: names from a configuration (AL09), a group by number where it
# may be a literal (AM06), a fence for the planner (AM09), dbt's quotes (RF06), a query inside
# another (RF03, ST05)
LEFT_OUT = "layout,AL09,AM04,AM06,AM09,RF02,RF03,RF04,RF06,ST05,ST06"


def main() -> int:
    with new_home() as home:
        warehouse = open_warehouse(load_settings({"QUOTEMILL_HOME": str(home)}, cwd=home))
        prepare(warehouse, landed_tables())
        profiles = home / "profiles"
        os.environ["DBT_PROFILES_DIR"] = str(profiles)
        os.environ["DBT_TARGET_PATH"] = str(home / "target")
        os.environ["DBT_LOG_PATH"] = str(home / "logs")
        os.environ["DO_NOT_TRACK"] = "1"
        write_profile(warehouse, profiles)
        statements = home / "statements"
        statements.mkdir()
        if not write_statements(warehouse, statements):
            return 1
        options = ["lint", "--disable-progress-bar"]
        rendered = ["--config", ".sqlfluff", "--templater", "raw", "--exclude-rules", LEFT_OUT]
        commands = [
            [
                str(Path(sys.executable).parent / "sqlfluff"),
                *options,
                "dbt_project/models",
                "dbt_project/snapshots",
                "tests/dbt",
            ],
            [sys.executable, "-m", "sqlfluff", *options, *rendered, str(statements)],
        ]
        # both at once: each renders or parses in one process for much of its time
        started = [subprocess.Popen(command, cwd=ROOT) for command in commands]
        return max([process.wait() for process in started])


if __name__ == "__main__":
    sys.exit(main())
