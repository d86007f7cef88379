"""Part of `make lint`: dbt parse, and sqlfluff with dbt's templater on an embedded server."""

import os
import subprocess
import sys
from pathlib import Path

from loaders.settings import load_settings
from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.profiles import write_profile
from tests.homes import new_home

ROOT = Path(__file__).parent.parent


def main() -> int:
    with new_home() as home:
        warehouse = open_warehouse(load_settings({"QUOTEMILL_HOME": str(home)}, cwd=home))
        prepare(warehouse, landed_tables())
        profiles = home / "profiles"
        os.environ["DBT_PROFILES_DIR"] = str(profiles)
        write_profile(warehouse, profiles)
        environment = {
            **os.environ,
            "DBT_TARGET_PATH": str(home / "target"),
            "DBT_LOG_PATH": str(home / "logs"),
            "DO_NOT_TRACK": "1",
        }
        programs = Path(sys.executable).parent
        commands = [
            [programs / "dbt", "--quiet", "parse", "--project-dir", ROOT / "dbt_project"],
            [
                programs / "sqlfluff",
                "lint",
                "--disable-progress-bar",
                "dbt_project/models",
                "tests/dbt",
            ],
        ]
        codes = [subprocess.run(c, cwd=ROOT, env=environment).returncode for c in commands]
        return max(codes)


if __name__ == "__main__":
    sys.exit(main())
