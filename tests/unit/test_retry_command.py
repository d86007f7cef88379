"""`quotemill retry` and `load` say how loads ended, whatever becomes of the build after them."""

import json
from typing import Any

import pytest
import typer

from loaders import loads
from loaders.engine.result import LoadResult
from orchestration.cli import load
from quotemill.errors import LockHeldError, QuotemillError, UsageError
from quotemill.warehouse.postgres import WarehouseAway

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
    requested = (None, [loaded])

    def fail(*_: Any, **__: Any) -> None:
        raise failure

    for name in ("metrics.record", "open_warehouse", "builds.build"):
        monkeypatch.setattr(f"orchestration.cli.load.{name}", lambda *_, **__: loaded)
    monkeypatch.setattr(f"orchestration.cli.load.{place}", fail)
    monkeypatch.setattr("orchestration.cli.load.load.load_requested", lambda _: requested)
    monkeypatch.setattr("orchestration.cli.load.load.retry_requested", lambda _: (None, loaded))
    monkeypatch.setattr("orchestration.cli.load.load.print_remaining_work", lambda *_: None)

    with pytest.raises(typer.Exit) as ended:
        load.retry_command(json=True)

    answer = json.loads(capsys.readouterr().out)
    assert (ended.value.exit_code, answer["exit_code"]) == (code, code)
    assert answer["load"]["exit_code"] == 6
    expected = (GONE, "retry it") if error else (str(failure), failure.hint)
    assert (answer["error"], answer["hint"]) == expected

    with pytest.raises(typer.Exit) as ended:
        load.load_command(json=True)

    answer = json.loads(capsys.readouterr().out)
    assert (ended.value.exit_code, answer["exit_code"]) == (code, code)
    assert (answer["loads"][0]["exit_code"], answer["error"]) == (6, expected[0])


def test_an_option_of_one_load_replaces_a_setting_of_its_source() -> None:
    given = {"concurrency": 3, "batch_size": None}
    assert loads.tuning_flags("tdx", given) == {"tdx": {"concurrency": 3}}
    assert loads.tuning_flags(None, dict.fromkeys(given)) == {}
    with pytest.raises(UsageError, match=r"^--concurrency needs"):
        loads.tuning_flags(None, given)
    with pytest.raises(UsageError, match=r"--concurrency .* ib"):
        loads.tuning_flags("ib", given)
    with pytest.raises(UsageError, match="nothing"):
        loads.tuning_flags("nothing", given)
