"""When a run counts as dead whose process Dagster cannot see."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.requirements import require_dagster

RUN = SimpleNamespace(run_id="r")
PATIENCE = 180


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A launcher whose code server answers what is in `answers`, at the time `now`."""
    require_dagster()
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.types import CanCancelExecutionResult
    from dagster._serdes import serialize_value

    from orchestration.dagster import launcher as module

    class Launcher(module.WatchedRunLauncher):
        answer: bool | None = True  # None: the server is away
        now = 0.0
        _instance = SimpleNamespace(run_monitoring_start_timeout_seconds=PATIENCE)

        def _get_grpc_client_for_termination(self, _: str) -> Any:
            return SimpleNamespace(can_cancel_execution=self.say)

        def say(self, _: Any) -> str:
            if self.answer is None:
                raise DagsterUserCodeUnreachableError
            return serialize_value(CanCancelExecutionResult(can_cancel=self.answer))

    made = Launcher()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
    return made


def check(launcher: Any) -> str:
    return str(launcher.check_run_worker_health(RUN).status.value)


def test_a_run_has_failed_that_its_code_server_does_not_know(launcher: Any) -> None:
    assert check(launcher) == "RUNNING"
    launcher.answer = False
    assert check(launcher) == "FAILED"


def test_a_code_server_that_is_away_has_time_to_come_back(launcher: Any) -> None:
    launcher.answer = None
    assert check(launcher) == "RUNNING"
    launcher.now += PATIENCE - 1
    assert check(launcher) == "RUNNING"
    launcher.answer = True
    assert check(launcher) == "RUNNING"
    launcher.answer = None
    launcher.now += PATIENCE - 1
    assert check(launcher) == "RUNNING"
    launcher.now += PATIENCE
    assert check(launcher) == "FAILED"
