"""Jobs as processes: exit codes, overlaps, deadlines, and children that outlive their runner."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestration.run import history
from orchestration.schedule import ledger, output
from orchestration.schedule.jobs import Job, Row
from orchestration.schedule.runner import Runner
from orchestration.schedule.serve import Server
from quotemill.errors import UpstreamError
from quotemill.warehouse.postgres import Warehouse
from tests.integration.schedule.conftest import DAILY, FIVE, FRIDAY, MINUTE, BlockedJob

OPEN = FRIDAY - timedelta(hours=3)  # 14:30, a start in session


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Scene:
    """A runner at a given time, and its messages."""

    def __init__(self, warehouse: Warehouse, now: datetime) -> None:
        self.said: list[str] = []
        self.clock = Clock(now)
        self.warehouse = warehouse
        self.runner = Runner(warehouse, self.clock, self.said.append)

    def row(self, job: Job) -> Row:
        return {row.name: row for row in self.warehouse.ask(ledger.read_rows)}[job.name]

    def beside(self, work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=work)
        thread.start()
        return thread


@pytest.fixture
def scene(warehouse: Warehouse) -> Scene:
    return Scene(warehouse, FRIDAY)


def exits(job: Job, code: int, name: str | None = None) -> Job:
    command = ("python", "-c", f"raise SystemExit({code})")
    return replace(job, name=name or job.name, command=command)


def test_the_exit_code_of_a_job_is_stored_and_returned(scene: Scene) -> None:
    job = exits(DAILY, 6)
    assert scene.runner.list_due([job]) == [job]
    assert scene.runner.run(job) == 6
    assert scene.row(job).last_exit_code == 6
    assert scene.runner.list_due([job]) == []
    assert scene.runner.run(job) == 0
    [ended] = [text for text in scene.said if "ended" in text]
    assert re.match("daily: .* 6$", ended)


def test_an_output_file_that_grew_too_large_is_emptied(scene: Scene) -> None:
    log = scene.warehouse.home / "logs" / "schedule-daily.log"
    log.parent.mkdir(parents=True)
    with log.open("wb") as file:
        file.truncate(output.MAX_BYTES + 1)
    scene.runner.run(exits(DAILY, 0))
    assert log.stat().st_size == 0


def test_each_run_is_recorded_under_the_id_that_its_process_gets(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output_file = tmp_path / "output"
    code = (
        f"import os; open({str(output_file)!r}, 'w').write(os.environ['QUOTEMILL_RUN_ID']); "
        "raise SystemExit(4)"
    )
    after: list[str] = []
    scene.runner.after = lambda job: after.append(job.name)
    scene.runner.run(replace(DAILY, command=("python", "-c", code)))
    with scene.warehouse.connect() as conn:
        [run] = history.recent(conn)
    assert (run["run_id"], run["schedule"], run["exit_code"]) == (
        output_file.read_text(),
        "daily",
        4,
    )
    assert run["command"].startswith("python -c")
    assert after == ["daily"]


def test_all_jobs_run_and_the_most_severe_exit_code_counts(
    scene: Scene,
) -> None:
    jobs = [exits(DAILY, code, f"job {code}") for code in (0, 5, 4, 6)]
    jobs.append(replace(DAILY, name="nothing", command=("no-such-program", "x")))
    assert scene.runner.run_all(jobs) == 3
    assert [scene.row(job).last_exit_code for job in jobs] == [0, 5, 4, 6, 3]


def test_a_given_time_is_passed_to_commands_that_take_one(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    output_file = tmp_path / "output"
    code = f"import sys; open({str(output_file)!r}, 'w').write(' '.join(sys.argv[1:]))"
    job = replace(DAILY, command=("python", "-c", code))
    as_of = "2026-11-20T17:30"
    Runner(warehouse, lambda: FRIDAY, str, lambda job: True, as_of).run(job)
    assert output_file.read_text() == f"--as-of {as_of}"
    later = FRIDAY + timedelta(days=3)
    Runner(warehouse, lambda: later, str, lambda job: False, as_of).run(job)
    assert output_file.read_text() == ""


def test_a_queued_start_runs_after_the_current_run(
    scene: Scene, blocked: BlockedJob, tmp_path: Path
) -> None:
    scene.clock.now = OPEN
    job = replace(blocked.job(FIVE), on_overlap="queue")
    codes: list[int] = []
    run = scene.beside(lambda: codes.append(scene.runner.run(job)))
    blocked.wait()
    for minutes in (5, 10):
        scene.clock.now = OPEN + minutes * MINUTE
        assert Runner(scene.warehouse, scene.clock, scene.said.append).run(job) == 0
    assert scene.row(job).waits(scene.clock.now)
    blocked.release(6)
    blocked.wait()  # the second run has started
    assert scene.row(job).next_run_at == OPEN + 15 * MINUTE
    blocked.release(0)
    run.join()
    assert codes == [6]
    assert sum("ended" in text for text in scene.said) == 2


def test_a_forced_start_during_a_run_is_refused_and_changes_nothing(
    scene: Scene, blocked: BlockedJob
) -> None:
    scene.clock.now = OPEN
    job = blocked.job(FIVE)
    run = scene.beside(lambda: scene.runner.run(job))
    blocked.wait()
    scene.clock.now = OPEN + 5 * MINUTE
    before = scene.row(job)
    other = Runner(scene.warehouse, scene.clock, scene.said.append)
    assert other.run_all([job], forced=True) == 75
    assert re.match("five: .*already", scene.said[-1])
    assert scene.row(job) == before
    blocked.release()
    run.join()


def test_a_run_beyond_its_deadline_is_ended_and_counts_as_partial(
    scene: Scene, blocked: BlockedJob
) -> None:
    job = replace(blocked.job(DAILY), deadline=0)
    assert scene.runner.run(job) == 6
    assert " 0 minutes" in scene.said[1]
    assert scene.row(job).last_exit_code == 6


def test_a_halted_runner_ends_its_run_and_starts_nothing_more(
    scene: Scene, blocked: BlockedJob
) -> None:
    job = blocked.job(DAILY)
    codes: list[int] = []
    run = scene.beside(lambda: codes.append(scene.runner.run(job)))
    blocked.wait()
    scene.runner.halt()
    run.join()
    assert codes == [130]
    other = exits(DAILY, 0, "other")
    assert scene.runner.run(other) == 0
    assert "other" not in {row.name for row in scene.warehouse.ask(ledger.read_rows)}


@pytest.fixture
def other(scene: Scene, tmp_path: Path) -> Runner:
    """A runner of another home, on a machine of the same name."""
    warehouse = replace(scene.warehouse, home=tmp_path / "other")
    return Runner(warehouse, scene.clock, scene.said.append)


def start_process(scene: Scene, job: Job) -> "subprocess.Popen[bytes]":
    """A process that runs the job of Friday."""
    code = (
        "import datetime, pathlib\n"
        "from loaders.settings import load_settings\n"
        "from loaders.warehouse.postgres import open_warehouse\n"
        "from orchestration.schedule.runner import Runner\n"
        "from tests.integration.schedule.conftest import DAILY\n"
        "from dataclasses import replace\n"
        f"warehouse = open_warehouse(load_settings({{}}, warehouse_url={scene.warehouse.url!r}, "
        f"home=pathlib.Path({str(scene.warehouse.home)!r})))\n"
        f"job = replace(DAILY, command={job.command!r})\n"
        f"Runner(warehouse, lambda: datetime.datetime.fromisoformat({FRIDAY.isoformat()!r}), print)"
        ".run(job)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)


def count_runs(scene: Scene) -> int:
    with scene.warehouse.connect() as conn:
        [(count,)] = conn.execute("select count(*) from ops.runs")
    return int(count)


def wait_for_death(scene: Scene) -> None:
    """Wait until the server has let go of the lock of the newest run."""
    with scene.warehouse.connect() as conn:
        conn.execute(
            "select pg_advisory_lock(hashtextextended(%s || (select run_id from ops.runs "
            "order by started_at desc limit 1), 0))",
            (history.LOCK,),
        )


@pytest.mark.long
def test_a_run_that_outlives_its_runner_is_restarted_after_its_end(
    scene: Scene, other: Runner, blocked: BlockedJob
) -> None:
    """The runner is killed; its child runs on, and keeps the run alive until it ends."""
    job = blocked.job(DAILY)
    killed = start_process(scene, job)
    blocked.wait()
    killed.kill()
    killed.wait()
    scene.clock.now = FRIDAY + MINUTE
    for runner in (scene.runner, other):
        assert runner.list_due([job]) == []
        assert runner.run(exits(DAILY, 3)) == 0
        assert runner.run_all([exits(DAILY, 3)], forced=True) == 75
    assert [text for text in scene.said if "ended" in text] == []
    scene.said.clear()
    blocked.release()
    wait_for_death(scene)
    assert scene.runner.run(exits(DAILY, 0)) == 0
    assert " interrupted" in scene.said[0]
    assert scene.row(job).is_repeat


def test_of_two_homes_one_starts_a_job_and_repeats_what_was_cut_off(
    scene: Scene, other: Runner, blocked: BlockedJob
) -> None:
    job, runners = blocked.job(DAILY), (scene.runner, other)
    for round_no in (1, 2):
        # at the same time: one runs it, and the other leaves it
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(runner.run, job) for runner in runners]
            blocked.wait()
            left, runs_on = wait(both, return_when=FIRST_COMPLETED)
            assert [run.result() for run in left] == [0]
            seen = scene.row(job), len(runs_on), count_runs(scene)
            blocked.release()
        assert seen[0].is_running
        assert seen[1:] == (1, round_no)
        # no end was recorded, as if the machine had failed
        with scene.warehouse.connect() as conn:
            conn.execute("update ops.runs set finished_at = null, exit_code = null")
        scene.clock.now += MINUTE
    assert sum(" interrupted" in text for text in scene.said) == 1
    assert [runner.run(exits(DAILY, 3)) for runner in runners] == [0, 0]


def test_a_run_whose_connection_broke_holds_its_lock_again(
    scene: Scene, other: Runner, blocked: BlockedJob
) -> None:
    job = blocked.job(DAILY)
    run = scene.beside(lambda: scene.runner.run(job))
    blocked.wait()
    holders = "select pid from pg_stat_activity where application_name like 'quotemill run %'"
    with scene.warehouse.connect(autocommit=True) as conn:
        [before] = conn.execute(holders)
        conn.execute("select pg_terminate_backend(%s)", before)
        while conn.execute(holders).fetchall() in ([], [before]) or not scene.row(job).is_running:
            pass
    scene.clock.now += MINUTE
    assert other.run(exits(DAILY, 3)) == 0
    assert other.run_all([exits(DAILY, 3)], forced=True) == 75
    blocked.release()
    run.join()
    assert scene.row(job).last_exit_code == 0


def test_a_named_job_that_is_not_due_says_when_it_is(scene: Scene) -> None:
    scene.clock.now = FRIDAY - MINUTE * 60
    job = exits(DAILY, 5)
    assert scene.runner.run_all([job], says_why=True) == 0
    [said] = scene.said
    assert re.match("daily: .* 2026-11-20 17:30:00 Shanghai$", said)
    assert scene.runner.run_all([job], forced=True) == 5


@pytest.mark.parametrize(
    ("is_scheduled", "on_overlap", "runs"),
    [(False, "skip", 1), (False, "queue", 1), (True, "skip", 1), (True, "queue", 2)],
)
def test_a_start_due_during_a_run_by_hand_counts_only_where_scheduled(
    is_scheduled: bool, on_overlap: str, runs: int, scene: Scene
) -> None:
    job = replace(exits(DAILY, 4), on_overlap=on_overlap)
    early, late = FRIDAY - 5 * MINUTE, FRIDAY + 5 * MINUTE
    if is_scheduled:
        scene.clock.now = early
        assert scene.runner.run(job) == 0
    times = iter([early])  # it begins before its own start and ends after it
    scene.runner.clock = lambda: next(times, late)
    assert scene.runner.run_all([job], forced=True) == 4
    row, following = scene.row(job), FRIDAY + timedelta(days=3)
    assert sum("ended" in text for text in scene.said) == runs
    assert (row.last_exit_code, row.missed_at) == (4, None)
    assert row.next_run_at == (following if is_scheduled else None)


def test_the_server_starts_due_jobs_and_waits_for_them_at_its_end(
    scene: Scene, blocked: BlockedJob, tmp_path: Path
) -> None:
    beside = BlockedJob(tmp_path, "beside")
    jobs = {"daily": blocked.job(DAILY), "other": beside.job(replace(DAILY, name="other"))}
    server = Server(scene.runner, lambda: jobs, str)
    run = scene.beside(server.serve)
    for job in (blocked, beside):  # one not yet started would stay due
        job.wait()
    scene.runner.halt()
    run.join()
    assert [scene.row(job).last_exit_code for job in jobs.values()] == [130, 130]


def test_a_server_that_cannot_start_jobs_says_why_and_retries(scene: Scene) -> None:
    answers: list[Exception | dict[str, Job]] = [
        UpstreamError("the warehouse is away"),
        {"daily": exits(DAILY, 0)},
    ]
    errors: list[str] = []

    def jobs() -> dict[str, Job]:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    server = Server(scene.runner, jobs, lambda error: errors.append(str(error)))
    server.check()
    assert errors == ["the warehouse is away"]
    server.check()
    for run in server._runs:
        run.join()
    assert scene.row(DAILY).last_exit_code == 0
    assert len(errors) == 1


def test_a_server_reports_an_unexpected_error_and_retries(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))  # receives the tracebacks
    known = {"daily": replace(DAILY, command=())}
    errors: list[str] = []
    server = Server(scene.runner, lambda: known, lambda error: errors.append(str(error)))

    def check_and_join() -> None:
        server.check()
        for run in server._runs:
            run.join()

    check_and_join()
    assert [error.split(": ")[1] for error in errors] == ["IndexError"]
    known["daily"] = exits(DAILY, 0)
    with monkeypatch.context() as patch:
        patch.setattr(scene.runner, "clock", lambda: 1 / 0)
        check_and_join()
    assert [error.split(": ")[1] for error in errors[1:]] == ["ZeroDivisionError"]
    check_and_join()
    assert scene.row(DAILY).last_exit_code == 0
    assert len(errors) == 2
