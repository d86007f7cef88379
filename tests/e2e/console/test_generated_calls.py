"""Calls that schemathesis makes from the API's own description: none ends as an error of ours.

Some of them get names that exist, so that they pass the first checks. Programs are not started.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from loaders import log, sources
from orchestration.console.limits import Limits
from tests.e2e.console.conftest import AS_OF
from tests.homes import clean_environ

pytestmark = [pytest.mark.soak, pytest.mark.long]
EXAMPLES = 100  # of each call
NO_LIMIT = Limits(calls=10**6, changes=10**6, processes=10**6)
# by the name of a field or parameter
NAMES: Mapping[str, Sequence[Any]] = {
    "source": (*sources.MODULES, "nothing"),
    "mode": ("incremental", "init", "realtime", "'; --"),
    "job": ("tdx_daily", "tdx_selftest", "nothing"),
    "job_id": (1, 2, 2**63 - 1),
    "run_id": (1, 7),
    "task_id": ("1-1", "1-0", "1-99999999999", "99999999999999999999-1"),
    "code": ("sh600000", "sz000001", "sh000001", "600000.SH", "SHSE.600000"),
    "variety": ("SHFE.au", "X.y"),
    "symbol": ("AAPL", "BRK B"),
    "when": ("off", "every 5m in session", "daily 17:30", "daily 25:00", "every 0m"),
    "command": ("quotemill build", "quotemill retry 1", "quotemill retry 0"),
    "values": (
        {"tdx.concurrency": 3, "qa.stale_days": None},
        {"alerts.channels": ["json://127.0.0.1:9"]},
        {"tdx.base_url": "\0"},
        {"schedule.tdx_daily.when": "daily 10:00"},
    ),
    # a generated name could be that of another machine
    "host": ("127.0.0.1", "localhost", "[::1]", "/nowhere"),
}


def start_nothing(
    words: Sequence[str], environ: Mapping[str, str], folder: Path, files: Any
) -> int:
    """A process that has ended at once, as of a load that had nothing to do."""
    os.write(files.output, json.dumps({"words": list(words)}).encode())
    Path(environ[log.EXIT_FILE]).write_text("0")
    return 1


def describe_console(folder: Path, variables: Mapping[str, str]) -> Any:
    """The description of a console's calls, each of which brings the token."""
    from orchestration.console.app import create_app
    from orchestration.console.context import Console

    environ = clean_environ() | {"QUOTEMILL_HOME": str(folder / "home")} | dict(variables)
    console = Console(
        folder, environ, lambda: datetime.now(UTC), AS_OF, limits=NO_LIMIT, spawn=start_nothing
    )
    bearer = f"Bearer {console.access.new_token(datetime.now(UTC))}"
    app = create_app(console, names=("testserver",))
    headers = {"authorization": bearer}
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=headers)
    schema.config.update(headers=headers)
    return schema


@schemathesis.hook
def map_body(_: Any, body: Any) -> Any:
    return name_known(body)


@schemathesis.hook
def map_path_parameters(_: Any, path_parameters: Any) -> Any:
    return name_known(path_parameters)


def name_known(values: Any) -> Any:
    """Put a known name in place of most generated ones."""
    if not isinstance(values, dict):
        return values
    named = {name: name_known(value) for name, value in values.items()}
    for name in named.keys() & NAMES.keys():
        known = NAMES[name]
        # the same for the same value, so that a failure can be played again
        number = sum(map(ord, str(named[name])))
        if name == "host" or number % 4:
            named[name] = known[number % len(known)]
    return named


def try_calls(schema: Any) -> None:
    """Make calls that fit the description, and calls that do not, of each address and method.

    No error of ours; every answer is one that the description has.
    """
    checks = schemathesis.checks
    described = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    failures = []
    for listed in schema.get_all_operations():
        operation = listed.ok()

        def make(case: Any) -> None:
            answer = case.call()
            assert answer.status_code != 500, f"{case.as_curl_command()}\n{answer.text}"
            case.validate_response(answer, checks=described)

        for mode in GenerationMode:
            cases = operation.as_strategy(generation_mode=mode)
            try:
                settings(max_examples=EXAMPLES)(given(cases)(make))()
            except Unsatisfiable:  # a call without parameters has no wrong ones
                assert mode.is_negative
            except Exception as error:
                failures.append(error)
    if failures:
        raise ExceptionGroup("calls with a wrong answer", failures)


def test_no_call_over_a_built_warehouse_ends_as_our_error(tmp_path: Path, built_dsn: str) -> None:
    variables = {
        "QUOTEMILL_WAREHOUSE_URL": built_dsn,
        "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
    }
    try_calls(describe_console(tmp_path, variables))


def test_no_call_before_the_first_load_ends_as_our_error(tmp_path: Path) -> None:
    try_calls(describe_console(tmp_path, {}))
