"""Jobs as processes: exit codes, overlaps, deadlines, and what outlives the one that started it."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loaders.errors import UpstreamError
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import Warehouse
from orchestration.run import history
from orchestration.schedule import ledger, output
from orchestration.schedule.jobs import Job, Row
from orchestration.schedule.runner import Runner
from orchestration.schedule.serve import Server
from tests.integration.schedule.conftest import DAILY, FIVE, Held

FRIDAY = datetime(2026, 11, 20, 17, 30, tzinfo=SHANGHAI).astimezone(UTC)
OPEN = FRIDAY - timedelta(hours=3)  # 14:30, a start in session
MINUTE = timedelta(minutes=1)


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Scene:
    """A runner at a moment, and what it said."""

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


def test_the_exit_code_of_a_job_is_kept_and_handed_on(scene: Scene) -> None:
    job = exits(DAILY, 6)
    assert scene.runner.list_due([job]) == [job]
    assert scene.runner.run(job) == 6
    assert scene.row(job).last_exit_code == 6
    assert scene.runner.list_due([job]) == []
    assert scene.runner.run(job) == 0
    assert [text for text in scene.said if "ended" in text] == ["daily: ended with 6"]


def test_a_file_of_output_that_has_grown_too_large_begins_anew(scene: Scene) -> None:
    log = scene.warehouse.home / "logs" / "schedule-daily.log"
    log.parent.mkdir(parents=True)
    with log.open("wb") as file:
        file.truncate(output.MAX_BYTES + 1)
    scene.runner.run(exits(DAILY, 0))
    assert log.stat().st_size == 0


def test_each_run_is_on_record_and_its_process_a_part_of_it(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    code = (
        f"import os; open({str(told)!r}, 'w').write(os.environ['QUOTEMILL_RUN_ID']); "
        "raise SystemExit(4)"
    )
    after: list[str] = []
    scene.runner.after = lambda job: after.append(job.name)
    scene.runner.run(replace(DAILY, command=("python", "-c", code)))
    with scene.warehouse.connect() as conn:
        [run] = history.recent(conn)
    assert (run["run_id"], run["schedule"], run["exit_code"]) == (told.read_text(), "daily", 4)
    assert run["command"].startswith("python -c")
    assert after == ["daily"]


def test_of_several_the_gravest_code_counts_and_none_keeps_another_from_running(
    scene: Scene,
) -> None:
    jobs = [exits(DAILY, code, f"job {code}") for code in (0, 5, 4, 6)]
    jobs.append(replace(DAILY, name="nothing", command=("no-such-program", "x")))
    assert scene.runner.run_all(jobs) == 3
    assert [scene.row(job).last_exit_code for job in jobs] == [0, 5, 4, 6, 3]


def test_a_job_finds_its_name_in_its_environment(scene: Scene, tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = f"import os; open({str(told)!r}, 'w').write(os.environ['QUOTEMILL_SCHEDULE'])"
    assert scene.runner.run(replace(DAILY, command=("python", "-c", code))) == 0
    assert told.read_text() == "daily"


def test_a_given_moment_is_handed_on_to_commands_that_take_one(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    code = f"import sys; open({str(told)!r}, 'w').write(' '.join(sys.argv[1:]))"
    job = replace(DAILY, command=("python", "-c", code))
    given = "2026-11-20T17:30"
    Runner(warehouse, lambda: FRIDAY, str, lambda job: True, given).run(job)
    assert told.read_text() == f"--as-of {given}"
    later = FRIDAY + timedelta(days=3)
    Runner(warehouse, lambda: later, str, lambda job: False, given).run(job)
    assert told.read_text() == ""


def test_a_start_while_it_runs_is_left_out(scene: Scene, held: Held) -> None:
    scene.clock.now = OPEN
    job = held.job(FIVE)
    run = scene.beside(lambda: scene.runner.run(job))
    held.wait()
    scene.clock.now = OPEN + 5 * MINUTE
    assert Runner(scene.warehouse, scene.clock, scene.said.append).run(job) == 0
    assert scene.said[-1] == "five: skipped: it still runs"
    held.let_go(4)
    run.join()
    assert scene.row(job).last_exit_code == 4
    assert scene.row(job).next_run_at == OPEN + 10 * MINUTE


def test_a_start_that_the_holder_of_the_lock_has_not_taken_yet_stays_due(scene: Scene) -> None:
    """Two timers fire together: one has the lock, and has not come to the ledger yet."""
    job = exits(DAILY, 0)
    other = Runner(scene.warehouse, scene.clock, scene.said.append)
    for start in (FRIDAY, FRIDAY + timedelta(days=3)):  # never ran before; did
        scene.clock.now = start
        with scene.runner._lock(job) as lock:
            assert lock is not None
            assert other.run(job) == 0
            assert other.list_due([job]) == [job]
        # that one died of it: nobody has the lock any longer
        assert other.run(job) == 0
        assert (scene.row(job).last_run_at, other.list_due([job])) == (start, [])
    assert [text for text in scene.said if "skipped" in text] == []


def test_a_start_that_is_queued_runs_once_the_one_before_has_ended(
    scene: Scene, held: Held, tmp_path: Path
) -> None:
    scene.clock.now = OPEN
    job = replace(held.job(FIVE), on_overlap="queue")
    codes: list[int] = []
    run = scene.beside(lambda: codes.append(scene.runner.run(job)))
    held.wait()
    for minutes in (5, 10):
        scene.clock.now = OPEN + minutes * MINUTE
        assert Runner(scene.warehouse, scene.clock, scene.said.append).run(job) == 0
    assert scene.row(job).queued_at == OPEN + 10 * MINUTE
    held.let_go(6)
    held.wait()  # the second run has begun
    assert scene.row(job).queued_at is None
    held.let_go(0)
    run.join()
    assert codes == [6]
    assert sum("ended" in text for text in scene.said) == 2


def test_a_job_that_is_asked_for_now_while_it_runs_is_refused_and_its_start_stays_due(
    scene: Scene, held: Held
) -> None:
    scene.clock.now = OPEN
    job = held.job(FIVE)
    run = scene.beside(lambda: scene.runner.run(job))
    held.wait()
    scene.clock.now = OPEN + 5 * MINUTE
    before = scene.row(job)
    other = Runner(scene.warehouse, scene.clock, scene.said.append)
    assert other.run_one(job, forced=True) == 75
    assert scene.said[-1] == "five: it runs already"
    assert scene.row(job) == before
    held.let_go()
    run.join()


def test_disabling_a_job_cancels_its_queued_run(scene: Scene, held: Held) -> None:
    scene.clock.now = OPEN
    job = replace(held.job(FIVE), on_overlap="queue")
    run = scene.beside(lambda: scene.runner.run(job))
    held.wait()
    scene.clock.now = OPEN + 5 * MINUTE
    Runner(scene.warehouse, scene.clock, scene.said.append).run(job)
    assert scene.warehouse.ask(lambda conn: ledger.disable(conn, job, scene.clock.now))
    held.let_go()
    run.join()
    assert sum("ended" in text for text in scene.said) == 1


def test_a_run_beyond_its_deadline_is_ended_and_counts_as_partial(scene: Scene, held: Held) -> None:
    job = replace(held.job(DAILY), deadline=0)
    assert scene.runner.run(job) == 6
    assert "still running after its deadline of 0 minutes" in scene.said[1]
    assert scene.row(job).last_exit_code == 6


def test_who_is_stopped_ends_what_runs_and_starts_nothing_more(scene: Scene, held: Held) -> None:
    job = held.job(DAILY)
    codes: list[int] = []
    run = scene.beside(lambda: codes.append(scene.runner.run(job)))
    held.wait()
    scene.runner.halt()
    run.join()
    assert codes == [130]
    other = exits(DAILY, 0, "other")
    assert scene.runner.run(other) == 0
    assert "other" not in {row.name for row in scene.warehouse.ask(ledger.read_rows)}


def test_what_outlives_its_runner_is_not_started_twice_and_then_once_more(
    scene: Scene, held: Held
) -> None:
    """The runner is killed; its child goes on, and holds the job's lock until it ends."""
    job = held.job(DAILY)
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
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    held.wait()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    scene.clock.now = FRIDAY + MINUTE
    assert scene.runner.list_due([job]) == [job]
    assert scene.runner.run(exits(DAILY, 3)) == 0
    assert scene.said == []
    held.let_go()
    again = exits(DAILY, 0)
    with pytest.MonkeyPatch.context() as patch:
        # the lock is free a moment after the child has ended
        patch.setattr("fcntl.LOCK_NB", 0)
        assert scene.runner.run(again) == 0
    assert "its last run was cut off" in scene.said[0]
    assert scene.row(job).attempts == 2


def test_asked_for_by_name_a_job_that_is_not_due_says_when_it_is(scene: Scene) -> None:
    scene.clock.now = FRIDAY - MINUTE * 60
    job = exits(DAILY, 5)
    assert scene.runner.run_one(job) == 0
    assert scene.said == ["daily: not due before 2026-11-20 09:30:00 UTC"]
    assert scene.runner.run_one(job, forced=True) == 5


def test_asked_for_by_name_a_job_waits_for_its_jitter(scene: Scene) -> None:
    job = replace(exits(DAILY, 5), jitter=3600)
    waited: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waited.append(timeout)
            scene.clock.now += timedelta(seconds=timeout)
            return False

    scene.runner.stop = Stop()
    assert scene.runner.run_one(job) == 5
    assert 0 < sum(waited) <= 3600
    assert scene.clock.now == FRIDAY + timedelta(seconds=sum(waited))


def test_the_server_starts_what_is_due_and_ends_with_what_it_started(
    scene: Scene, held: Held
) -> None:
    jobs = {"daily": held.job(DAILY), "other": exits(DAILY, 0, "other")}
    server = Server(scene.runner, lambda: jobs, str)
    run = scene.beside(server.serve)
    held.wait()
    scene.runner.halt()
    run.join()
    assert scene.row(jobs["daily"]).last_exit_code == 130
    assert scene.row(jobs["other"]).last_exit_code in (0, 130)


def test_a_server_that_can_start_nothing_tells_why_and_tries_again(scene: Scene) -> None:
    answers: list[Exception | dict[str, Job]] = [
        UpstreamError("the warehouse is away"),
        {"daily": exits(DAILY, 0)},
    ]
    told: list[str] = []

    def jobs() -> dict[str, Job]:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    server = Server(scene.runner, jobs, lambda error: told.append(str(error)))
    server.check()
    assert told == ["the warehouse is away"]
    server.check()
    for run in server._runs:
        run.join()
    assert scene.row(DAILY).last_exit_code == 0
    assert len(told) == 1


def test_a_server_tells_what_it_did_not_expect_and_tries_again(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))  # which keeps the tracebacks
    known = {"daily": replace(DAILY, command=())}
    told: list[str] = []
    server = Server(scene.runner, lambda: known, lambda error: told.append(str(error)))

    def look() -> None:
        server.check()
        for run in server._runs:
            run.join()

    look()
    assert told == ["internal error: IndexError: tuple index out of range"]
    known["daily"] = exits(DAILY, 0)
    with monkeypatch.context() as patch:
        patch.setattr(scene.runner, "clock", lambda: 1 / 0)
        look()
    assert told[1:] == ["internal error: ZeroDivisionError: division by zero"]
    look()
    assert scene.row(DAILY).last_exit_code == 0
    assert len(told) == 2


def test_the_file_of_a_jobs_lock_is_in_the_home(scene: Scene) -> None:
    scene.runner.run(exits(DAILY, 0, "a/b c"))
    [file] = (scene.warehouse.home / "schedule").iterdir()
    assert file.name.endswith("-a%2Fb c.lock")
