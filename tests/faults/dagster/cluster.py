"""Storage, code server, daemon and runs of Dagster, each a process of its own."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import yaml
from click.testing import CliRunner

from tests.faults.scene import wait_until

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "orchestrators.md"
STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")
WAITING = """
    select count(*) from pg_stat_activity
    where wait_event_type = 'Lock' and datname = current_database()
"""


def read_documented() -> dict[str, Any]:
    """The dagster.yaml of our page."""
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    documented: dict[str, Any] = yaml.safe_load(block)
    return documented


def write_instance(folder: Path) -> None:
    """Write the dagster.yaml of our page, with polls that no test waits for."""
    config = read_documented()
    config["run_monitoring"] |= {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1}
    config["run_queue"] = {"dequeue_interval_seconds": 1}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config))


@dataclass
class Cluster:
    """The processes of Dagster; `env` has all settings of ours and theirs."""

    folder: Path
    env: Mapping[str, str]
    instance: Any  # of Dagster
    port: int
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def dsn(self) -> str:
        return self.env["QUOTEMILL_WAREHOUSE_URL"]

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace.yaml"

    def start_code_server(self) -> None:
        from dagster._grpc.client import DagsterGrpcClient

        where = ("-h", "127.0.0.1", "-p", str(self.port))
        self._start("dagster", "api", "grpc", "-m", "tests.faults.dagster.definitions", *where)
        client = DagsterGrpcClient(port=self.port, host="127.0.0.1")

        def is_up() -> bool:
            with contextlib.suppress(Exception):
                return client.ping("") is not None
            return False

        wait_until("the code server answers", is_up)

    def start_daemon(self) -> None:
        self._start("dagster-daemon", "run", "-w", str(self.workspace))

    def _start(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("ab") as log:
            self.processes[program] = subprocess.Popen(
                [str(BIN / program), *arguments], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )

    def kill(self, program: str) -> None:
        process = self.processes.pop(program)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Kill all processes, those of runs that a failed test has left and their loads too."""
        for program, process in list(self.processes.items()):
            started = psutil.Process(process.pid).children(recursive=True)
            self.kill(program)
            for left in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()

    def end_runs(self) -> None:
        """Cancel the runs that have not ended."""
        from dagster import DagsterRunStatus as Status
        from dagster import RunsFilter

        unended = [Status.QUEUED, Status.STARTING, Status.STARTED, Status.CANCELING]
        for run in self.instance.get_runs(RunsFilter(statuses=unended)):
            with contextlib.suppress(Exception):  # it ends meanwhile, or its server is away
                self.instance.run_coordinator.cancel_run(run.run_id)
            self.instance.report_run_canceled(run)

    def launch(self, job: str) -> str:
        """Put a run of a job into the queue; return its id."""
        from dagster._cli.job import job_launch_command

        run = str(uuid4())
        command = ["-w", str(self.workspace), "-j", job, "--run-id", run]
        done = CliRunner().invoke(job_launch_command, command)
        assert done.exit_code == 0, done.output
        return run

    def status(self, run: str) -> str:
        return str(self.instance.get_run_by_id(run).status.value)

    def wait_for_end(self, run: str) -> str:
        """The status in which a run ends."""
        wait_until("a run ends", lambda: self.instance.get_run_by_id(run).is_finished)
        return self.status(run)

    def wait_for_retry(self, run: str) -> str:
        """The id of the run that Dagster starts in the place of a failed one."""
        from dagster import RunsFilter

        again = RunsFilter(tags={"dagster/parent_run_id": run})
        try:
            [later] = wait_until("a run is tried again", lambda: self.instance.get_runs(again))
        except AssertionError as error:
            raise AssertionError(self.messages(run)) from error
        return str(later.run_id)

    def wait_for_worker(self, run: str) -> int:
        """The process of a run."""
        match = wait_until("a run has a process", lambda: STARTED.search(self.messages(run)))
        return int(match[1])

    def messages(self, run: str) -> str:
        """What a run has logged."""
        events = self.instance.all_logs(run)
        lines = [f"{event.dagster_event_type} {event.message}" for event in events]
        return "\n".join(line for line in lines if "_PLANNED" not in line)

    def free_slots(self, pool: str) -> int:
        info = self.instance.event_log_storage.get_concurrency_info(pool)
        return int(info.slot_count - info.active_slot_count)

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Hold writers of a table until the block ends."""
        with psycopg.connect(self.dsn) as conn:
            conn.execute(f"lock table {table} in share mode".encode())
            yield

    def count_waiters(self) -> int:
        """How many sessions wait for a lock."""
        with psycopg.connect(self.dsn) as conn:
            [(count,)] = conn.execute(WAITING)
        return int(count)

    def wait_for_waiters(self) -> None:
        wait_until("somebody waits for a lock", self.count_waiters)


@contextlib.contextmanager
def open_cluster(folder: Path, storage: str, settings: Mapping[str, str]) -> Iterator[Cluster]:
    """Dagster with the code server and the daemon running."""
    from dagster import DagsterInstance

    write_instance(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = {"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": "quotemill"}}
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [server]}))
    own = {
        "DAGSTER_HOME": str(folder),
        "DAGSTER_STORAGE": storage,
        "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
    }
    os.environ.update(own)
    with DagsterInstance.from_config(str(folder)) as instance:
        cluster = Cluster(folder, {**settings, **own}, instance, port)
        try:
            cluster.start_code_server()
            cluster.start_daemon()
            yield cluster
        finally:
            cluster.stop()
            for name in own:
                del os.environ[name]
