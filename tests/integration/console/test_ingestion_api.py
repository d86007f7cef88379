"""Calls that start something: what is refused before any process, and what is not run at all."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loaders import log
from orchestration.console import processes
from orchestration.console.limits import Limits
from orchestration.console.starting import ALLOWED, find_options
from tests.integration.console.conftest import NO_LIMIT, NOW, Open

WRONG_LOADS: list[tuple[dict[str, Any], int]] = [
    ({"source": "nothing"}, 422),
    ({"source": "tdx", "datasets": ["kline_dayly"]}, 422),
    ({"source": "tdx", "datasets": ["kline_daily_qfq"]}, 422),
    ({"source": "tdx", "mode": "--help"}, 422),
    ({"source": "tdx", "codes": ["--as-of"]}, 422),
    ({"source": "tdx", "codes": ["sh600000; rm -rf /"]}, 422),
    ({"source": "tdx", "codes": ["'; drop table ops.runs; --"]}, 422),
    ({"source": "tdx", "codes": ["sh600000"], "exchange": "sh"}, 422),
    ({"source": "tdx", "codes": []}, 422),
    ({"source": "tdx", "concurrency": 7}, 409),
    ({"source": "ib", "concurrency": 1}, 422),
    ({"source": "tq"}, 409),
    ({"source": "tdx", "since": "2025-07-01", "until": "2025-06-01"}, 422),
    ({"source": "tdx", "since": "yesterday"}, 422),
    ({"source": "tdx", "shell": True}, 422),
]


def test_a_wrong_load_is_refused_before_any_process(open_console: Open) -> None:
    caller = open_console({"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}, limits=NO_LIMIT)
    for body, status in WRONG_LOADS:
        answer = caller.call("/api/ingestion/start", body)
        assert answer.status_code == status, (body, answer.text)
        assert set(answer.json()) == {"error", "hint", "exit_code"}
        assert caller.console.commands.list_all() == []


NOT_LISTED = [
    "quotemill run; rm -rf /",
    "quotemill run --as-of 2020-01-01",
    "quotemill run nothing",
    "quotemill  run",
    "quotemill run\ttdx",
    "quotemill run\n",
    "quotemill warehouse psql",
    "quotemill dbt run",
    "quotemill schedule enable ../x",
    "quotemill schedule enable --help",
    "quotemill retry 0",
    "loaders sandbox tdx",
    "rm -rf /",
    "",
    "$(id)",
]


def test_a_command_that_is_not_listed_is_not_run(open_console: Open) -> None:
    caller = open_console(limits=NO_LIMIT)
    for text in NOT_LISTED:
        answer = caller.call("/api/commands", {"command": text})
        assert answer.status_code == 422, (text, answer.text)
        assert caller.console.commands.list_all() == []


def test_the_commands_that_are_listed_exist_with_their_options() -> None:
    import shlex

    import typer

    import loaders.cli
    import orchestration.cli

    groups = {"loaders": loaders.cli.app, "quotemill": orchestration.cli.app}
    examples = {"SOURCE": "tdx", "NUMBER": "12", "NAME": "tdx_daily"}
    for template, options in ALLOWED.items():
        words = [examples.get(word, word) for word in shlex.split(template)]
        assert find_options(" ".join(words)) == options
        command: Any = typer.main.get_command(groups[words[0]])
        for word in words[1:]:
            command = getattr(command, "commands", {}).get(word, command)
        known = {name for param in command.params for name in param.opts}
        wanted = {"--json"} if "j" in options else set()
        wanted |= {"--as-of"} if "a" in options else set()
        wanted |= {word for word in words if word.startswith("--")}
        assert wanted <= known, template


def test_a_command_runs_once_at_a_time_and_few_together(open_console: Open) -> None:
    import subprocess

    children = []

    def spawn(words: Sequence[str], environ: Any, folder: Path, files: Any) -> int:
        process = subprocess.Popen(
            ["sleep", "60"], stdout=files.output, stderr=files.errors, pass_fds=(files.lock,)
        )
        children.append(process)
        return process.pid

    caller = open_console(limits=Limits(processes=2), spawn=spawn)

    def start(name: str) -> Any:
        return caller.call("/api/commands", {"command": f"quotemill {name}"})

    first = start("build")
    assert first.status_code == 202
    assert start("build").json() == first.json()  # it runs already
    assert start("report").status_code == 202
    assert len(children) == 2
    refused = start("backup")
    assert (refused.status_code, refused.json()["exit_code"]) == (429, 75)
    assert " 2 commands: " in refused.json()["error"]
    children[0].kill()
    children[0].wait()
    assert start("build").json()["run_id"] != first.json()["run_id"]
    [ended] = [c for c in caller.json("/api/commands")["commands"] if not c["is_running"]]
    assert (ended["run_id"], ended["exit_code"]) == (first.json()["run_id"], None)
    assert "killed" in ended["error"]
    for child in children:
        child.kill()
        child.wait()


def test_a_command_that_cannot_be_recorded_does_not_start(
    open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned: list[Sequence[str]] = []

    def spawn(words: Sequence[str], *_: Any) -> int:
        spawned.append(words)
        return 1

    def fail(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    caller = open_console(spawn=spawn)
    with monkeypatch.context() as patch:
        patch.setattr(processes.whole_file, "write", fail)
        refused = caller.call("/api/commands", {"command": "quotemill build"})
    assert (refused.status_code, refused.json()["exit_code"]) == (502, 4)
    assert "No space left on device" in refused.json()["error"]
    assert spawned == []
    assert list(caller.console.commands.folder.iterdir()) == []


ENDS: list[tuple[str, int | None, str | None, str]] = [
    # what a command does, and the exit code, error and hint that are shown
    ("echo done >&2; echo text; printf 0 > $FILE", 0, None, ""),
    ("echo '{\"rows\": 3}'; printf 0 > $FILE", 0, None, ""),
    ("echo 'error: no row' >&2; echo 'fix: load' >&2; printf 5 > $FILE", 5, "no row", "load"),
    ("echo '{\"rows\": 0}'; printf 1 > $FILE", 1, "it exited with 1", ""),
    ('echo \'{"error": "away", "hint": "wait"}\'; printf 4 > $FILE', 4, "away", "wait"),
    ("echo load failed >&2; echo 'log: f' >&2; printf 4 > $FILE", 4, "load failed", ""),
    ("echo 'build 4 succeeded' >&2; printf 6 > $FILE", 6, None, ""),
    ("echo working >&2", None, "it was killed", ""),
    ('echo \'{"exit_code": 0, "error": null}\'', 0, None, ""),
]


def test_a_command_is_shown_as_it_ended(open_console: Open) -> None:
    scripts = iter(script for script, *_ in ENDS)

    def spawn(_: Sequence[str], environ: Any, folder: Path, files: Any) -> int:
        words = ["sh", "-c", next(scripts).replace("$FILE", f"'{environ[log.EXIT_FILE]}'")]
        return processes.Spawner()(words, environ, folder, files)

    caller = open_console(spawn=spawn, limits=NO_LIMIT)
    commands = caller.console.commands
    for script, *ending in ENDS:
        started = caller.call("/api/commands", {"command": "quotemill warehouse migrate"}).json()
        commands.wait(commands.find(started["run_id"]), lambda: None, 30)
        shown = caller.json(f"/api/commands/{started['run_id']}")
        assert [shown["exit_code"], shown["error"], shown["hint"]] == ending, script
    history = caller.get("/history").text
    good = sum(code == 0 for _, code, *_ in ENDS)
    assert history.count('<span class="good">succeeded</span>') == good


def test_a_command_is_stopped_and_only_that(open_console: Open) -> None:
    caller = open_console()
    commands = caller.console.commands
    sleep = processes.Spawner()
    commands.spawn = lambda _, *others: sleep(["sleep", "60"], *others)
    first, second = (commands.start(["quotemill", word], "test") for word in ("build", "run"))
    commands.stop(commands.find(first.run_id))
    assert [c.run_id for c in commands.list_all() if c.is_running] == [second.run_id]
    # a number that another process has got since is no reason to end that
    commands.stop(replace(first, pid=second.pid))
    assert [c.run_id for c in commands.list_all() if c.is_running] == [second.run_id]
    commands.stop(second)
    assert not any(c.is_running for c in commands.list_all())


def test_an_output_that_climbs_is_none(open_console: Open) -> None:
    caller = open_console()
    token = caller.console.access.new_token(NOW)  # its hash is beside the folder of commands
    bearer = {"authorization": f"Bearer {token}"}
    for run_id in ("x", "..", "20261120T093000-0000", "..%2fsecret", "%00"):
        for path in (f"/api/commands/{run_id}", f"/api/commands/{run_id}/output"):
            assert caller.get(path, headers=bearer).status_code == 404, path
