"""What Dagster does after each exit code of a command, and what a stop does to one."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.scene import wait_until
from tests.requirements import require_dagster

PARTIAL = {
    "job_id": 7,
    "source": "tdx",
    "exit_code": 6,
    "error": None,
    "hint": "",
    "tasks": [
        {
            "dataset": "kline_daily",
            "status": "partial",
            "failures": {"sh600000": "no answer"},
            "rows_new": 5,
            "rows_changed": 0,
            "rows_rejected": 0,
        }
    ],
}
REPAIRED = PARTIAL | {"job_id": 8, "exit_code": 0, "tasks": []}


@pytest.fixture
def dagster() -> Any:
    require_dagster()
    import dagster

    return dagster


def ending_with(code: int, error: str = "x") -> Any:
    from orchestration.dagster.commands import Answer

    return Answer(code, ({"exit_code": code, "error": error, "hint": "wait"},))


@pytest.mark.parametrize("code", [4, 75])
def test_what_is_away_or_locked_is_tried_again(dagster: Any, code: int) -> None:
    from orchestration.dagster.commands import raise_failure

    with pytest.raises(dagster.RetryRequested) as asked:
        raise_failure(["loaders", "run", "tdx"], ending_with(code))
    assert asked.value.max_retries > 0
    assert asked.value.seconds_to_wait > 0


@pytest.mark.parametrize("code", [1, 2, 3, 5, 6, 130, 137])
def test_other_failures_are_not_tried_again(dagster: Any, code: int) -> None:
    from orchestration.dagster.commands import raise_failure

    with pytest.raises(dagster.Failure, match=r"x \(wait\)") as failed:
        raise_failure(["loaders", "run", "tdx"], ending_with(code))
    assert not failed.value.allow_retries


def test_no_login_of_a_url_is_in_the_text_of_a_failure(dagster: Any) -> None:
    from orchestration.dagster.commands import raise_failure

    raise_failure(["quotemill", "build"], ending_with(0))
    answer = ending_with(3, "cannot reach postgresql://me:hidden-word@db.example/x")
    with pytest.raises(dagster.Failure) as failed:
        raise_failure(["quotemill", "build"], answer)
    assert "db.example" in str(failed.value.description)
    assert "hidden-word" not in str(failed.value.description)


@pytest.mark.parametrize(
    ("later", "left"), [(REPAIRED, 0), (PARTIAL | {"job_id": 8}, 1)], ids=["repaired", "still"]
)
def test_failed_keys_are_loaded_once_more_in_the_same_step(
    dagster: Any, monkeypatch: pytest.MonkeyPatch, later: dict[str, Any], left: int
) -> None:
    from orchestration.dagster import loads
    from orchestration.dagster.commands import Answer

    ran: list[tuple[str, ...]] = []

    def answer(*words: str) -> Answer:
        ran.append(words)
        document = PARTIAL if len(ran) == 1 else later
        return Answer(document["exit_code"], (document,))

    monkeypatch.setattr(loads, "run_command", answer)
    loaded = loads.run_load(["loaders", "run", "tdx"])
    assert ran == [("loaders", "run", "tdx"), ("loaders", "retry", "tdx", "7")]
    tasks = [task for document in loaded.documents for task in document["tasks"]]
    figures = loads.describe_tasks(tasks)
    assert figures["failed"] == left
    assert figures["rows_new"] == 5 * (1 + left)


def test_a_stop_reaches_the_command_whose_end_is_awaited(
    dagster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from orchestration.dagster import commands

    ready, ended = tmp_path / "ready", tmp_path / "ended"
    script = tmp_path / "loaders"
    script.write_text(
        f"#!{sys.executable}\nimport pathlib, signal, sys\n"
        f"def stop(*_): pathlib.Path('{ended}').write_text('landed'); sys.exit(130)\n"
        f"signal.signal(signal.SIGINT, stop)\npathlib.Path('{ready}').touch()\n"
        "while True: signal.pause()\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(commands, "executable", lambda _: script)

    class Stop(BaseException):
        """What Dagster raises in a step that is terminated."""

    interrupt_once_ready(ready, Stop)
    with pytest.raises(Stop):
        commands.run_command("loaders", "run")
    assert ended.read_text() == "landed"


def interrupt_once_ready(ready: Path, error: Callable[[], BaseException]) -> None:
    def raise_error(*_: Any) -> None:
        signal.signal(signal.SIGUSR1, before)
        raise error()

    before = signal.signal(signal.SIGUSR1, raise_error)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_until("the command runs", ready.exists)
        signal.pthread_kill(main, signal.SIGUSR1)

    threading.Thread(target=interrupt, daemon=True).start()
