"""A command of `quotemill` or `loaders` that kills itself, or others, at the nth time of a moment, of its load or
its build:

    python -m tests.faults.week_driver REPORT MOMENT NTH quotemill run tdx ...

With the moment `none` nothing is killed. REPORT gets how often each moment came in a command that ends by itself. FAULTS_VICTIM as for
tests.faults.driver.
"""

import atexit
import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.conftest import spare_dbt
from tests.e2e.commands import MAINS
from tests.faults import driver

BUILDING = "building"
MOMENTS = {
    "the build is on record": BUILDING,
    "a command of dbt is about to begin": BUILDING,
    "dbt is done, the build not recorded": BUILDING,
    "findings are about to be judged": BUILDING,
}


def patch_building() -> None:
    from orchestration.run import build, build_record, findings

    driver.around(build_record.BuildRecord, "begin", after="the build is on record")
    driver.around(
        build,
        "invoke",
        before="a command of dbt is about to begin",
        after="dbt is done, the build not recorded",
    )
    driver.around(findings, "judge", before="findings are about to be judged")


def main() -> None:
    report, driver._target, nth, program, *command = sys.argv[1:]
    driver._report, driver._nth = Path(report), int(nth)
    driver.MOMENTS.update(MOMENTS)
    atexit.register(lambda: driver._report.write_text(json.dumps(driver._counts)))
    driver.patch_fetching()
    driver.patch_landing()
    patch_building()
    # as in the tests' own process: else each of the two parses anew what the other has parsed
    spare_dbt(pytest.MonkeyPatch())
    sys.argv = [program, *command]
    importlib.import_module(MAINS[program]).main()


if __name__ == "__main__":
    main()
