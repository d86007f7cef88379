"""`quotemill retry` says how the load ended, whatever becomes of the build after it."""

import json
from typing import Any

import pytest
import typer

from loaders.engine.result import LoadResult
from loaders.errors import LockHeldError, QuotemillError
from loaders.warehouse.postgres import WarehouseAway
from orchestration.cli import retry

GONE = "the service went away"


@pytest.mark.parametrize("error", [None, GONE])
@pytest.mark.parametrize(
    ("place", "failure", "code"),
    [
        ("builds.build", LockHeldError("another build runs", hint="wait"), 6),
        ("open_warehouse", WarehouseAway("the warehouse is away", hint="start it"), 4),
    ],
)
def test_a_build_that_cannot_start_hides_no_failed_load(
    error: str | None,
    place: str,
    failure: QuotemillError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded = LoadResult(3, "tdx", "partial", 6, (), (), error, "retry it", 0.1)

    def fail(*_: Any, **__: Any) -> None:
        raise failure

    for name in ("load_settings", "metrics.record", "load.retry", "open_warehouse", "builds.build"):
        monkeypatch.setattr(f"orchestration.cli.retry.{name}", lambda *_, **__: loaded)
    monkeypatch.setattr(f"orchestration.cli.retry.{place}", fail)

    with pytest.raises(typer.Exit) as ended:
        retry.retry_command(json=True)

    answer = json.loads(capsys.readouterr().out)
    assert (ended.value.exit_code, answer["exit_code"]) == (code, code)
    assert answer["load"]["exit_code"] == 6
    expected = (GONE, "retry it") if error else (str(failure), failure.hint)
    assert (answer["error"], answer["hint"]) == expected
