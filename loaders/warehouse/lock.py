"""The lock of a lane: one load at a time, on every machine that shares the warehouse."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from typing import Any

import psycopg

from loaders.files import lock
from loaders.warehouse import turns
from loaders.warehouse.content import CONTENT_ID, RestoredMeanwhile
from loaders.warehouse.embedded.places import unusable
from quotemill.errors import LockHeldError, QuotemillError
from quotemill.settings.folders import make_private
from quotemill.warehouse.connections import find_process
from quotemill.warehouse.postgres import Warehouse

LOCK = "quotemill:load:"  # and the lane: what the advisory lock is the hash of
QUEUE_POLL = 0.5  # seconds between two tries while waiting for a lock
RETAKE_TRIES = 10  # at a lock that a broken connection of ours may still hold
WATCH_POLL = 1.0  # seconds between two checks for a cancel from another terminal


def is_lane_busy(warehouse: Warehouse, lane: str) -> bool:
    """Whether a load, or another work under its lock, runs now."""
    query = f"select {turns.is_held('%(name)s')}".encode()
    name = {"name": LOCK + lane}
    return warehouse.ask(lambda conn: conn.execute(query, name).fetchone() == (True,))


class LoadLock:
    """The lock of a lane: an advisory lock of the warehouse, and a lock of a file.

    Every machine sees the first; the second outlives a restart of the warehouse. Both vanish with
    their process. May be used by several threads.
    """

    def __init__(self, warehouse: Warehouse, lane: str) -> None:
        self._warehouse, self._lane = warehouse, lane
        self._turn = threading.Lock()
        with ExitStack() as stack:
            if not _hold_file(warehouse, lane, stack):
                with warehouse.connect() as conn:
                    raise self._held(conn, "another process of this machine")
            self._conn = self._taken()
            self._file = stack.pop_all()

    def confirm(self) -> None:
        """Check that the lock is held, or take it again after the warehouse was away.

        Raises LockHeldError where another machine took it meanwhile, WarehouseAway while the
        warehouse is away.
        """
        self.ask("select 1")

    def ask(self, query: str, values: Mapping[str, Any] | None = None) -> tuple[Any, ...] | None:
        """The first row of a query, on the lock's connection. Raises as `confirm` does."""
        with self._turn:
            try:
                return self._conn.execute(query.encode(), values).fetchone()
            except psycopg.OperationalError:
                self._conn.close()
                self._conn = self._taken_again()
                return self._conn.execute(query.encode(), values).fetchone()

    def close(self) -> None:
        with self._turn:
            turns.let_go(self._conn)
        self._conn.close()
        self._file.close()

    def _taken(self) -> psycopg.Connection:
        name = f"quotemill load lock: {self._lane}"
        conn = self._warehouse.connect(autocommit=True, application_name=name)
        try:
            with turns.noticing_loss(self._warehouse):
                if holder := turns.take(conn, LOCK + self._lane):
                    raise self._held(conn, holder)
        except BaseException:
            conn.close()
            raise
        self._pid = find_process(conn)
        return conn

    def _taken_again(self) -> psycopg.Connection:
        """Take the lock after the connection broke, which the server may not have noticed yet."""
        for attempt in range(RETAKE_TRIES):
            try:
                conn = self._taken()
            except LockHeldError:
                with self._warehouse.connect(autocommit=True) as other:
                    ours = other.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where pid = %s and application_name = %s",
                        (self._pid, f"quotemill load lock: {self._lane}"),
                    ).fetchone()
                if ours is None and attempt:
                    raise
                time.sleep(QUEUE_POLL)
            else:
                return conn
        return self._taken()

    def _held(self, conn: psycopg.Connection, holder: str) -> LockHeldError:
        job = conn.execute(
            "select format('load %%s of %%s, running since %%s', job_id, requested_by, "
            "to_char(started_at, 'YYYY-MM-DD HH24:MI:SS TZ')) from ops.ingestion_jobs "
            "where lane = %s and status = 'running' order by job_id desc limit 1",
            (self._lane,),
        ).fetchone()
        return LockHeldError(
            f"another load of {self._lane} holds the lock: "
            + (job[0] if job else f"{holder}, which has no number yet"),
            hint="Wait for it, or stop it with `loaders cancel`. `quotemill loads` shows it.",
        )


_WATCH = f"""
    with own as (
        select j.job_id, j.cancel_requested_at is not null as is_cancelled, j.cancel_after_task
        from ops.ingestion_jobs as j
        inner join ops.settings as s on s.key = '{CONTENT_ID}' and s.value = %(content)s
        where j.job_id = %(job)s
    ), progress as (
        update ops.ingestion_job_tasks as t set fetched = %(fetched)s from own
        where t.job_id = own.job_id and t.task_no = %(task)s
            and t.status = 'running' and t.fetched <> %(fetched)s
    ), held as (
        update ops.ingestion_jobs as j set held_by = %(held_by)s from own
        where j.job_id = own.job_id and j.held_by is distinct from %(held_by)s::text
    )
    select is_cancelled, cancel_after_task from own
"""


class Watch:
    """A thread that checks a running job's lock and cancel request, and records its progress.

    After a restore the job is lost as its lock would be. What fetches and what lands never waits
    for that. A context manager. `progress` returns the task that runs and how many of its keys
    have an answer; `held_by` is why none advances. `last_task` is the task after which the job is
    asked to stop, if any.
    """

    def __init__(self, lock: LoadLock, job_id: int, content: str) -> None:
        self._lock, self._job_id, self._content = lock, job_id, content
        self.progress: Callable[[], tuple[int, int] | None] = lambda: None
        self.held_by: str | None = None
        self.last_task: int | None = None
        self._asked, self._end = threading.Event(), threading.Event()
        self._lost: LockHeldError | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def stop(self) -> None:
        """Ask for the end from inside; safe in a signal's handler."""
        self._asked.set()

    def asked(self) -> bool:
        """Whether anybody asked the load to stop. Raises LockHeldError where the lock was lost."""
        if self._lost is not None:
            raise self._lost
        return self._asked.is_set()

    def _run(self) -> None:
        while not self._end.wait(WATCH_POLL):
            task, fetched = self.progress() or (None, 0)
            values: dict[str, Any] = {"job": self._job_id, "task": task, "fetched": fetched}
            values |= {"held_by": self.held_by, "content": self._content}
            try:
                row = self._lock.ask(_WATCH, values)
                if row is None:
                    raise RestoredMeanwhile
                is_cancelled, self.last_task = row
                if is_cancelled:
                    self._asked.set()
            except LockHeldError as error:
                self._lost = error
                return
            except (QuotemillError, psycopg.Error):
                continue  # what is fetched meanwhile stays on disk


def _hold_file(warehouse: Warehouse, lane: str, stack: ExitStack) -> bool:
    """Lock the lane's file until the stack ends; whether nobody else holds it."""
    from loaders.warehouse.migrate import warehouse_id

    folder = warehouse.home / "pipelines"
    try:
        make_private(folder)
        file = folder / f"{warehouse_id(warehouse)}-{lane}.lock"
        return stack.enter_context(lock.hold(file)) is not None
    except OSError as error:
        raise unusable(folder, error) from None


def load_lock(
    warehouse: Warehouse,
    lane: str,
    *,
    queue: Callable[[str], object] | None = None,
    longest: float = math.inf,
) -> AbstractContextManager[LoadLock]:
    """Take the lock of a lane. Raises LockHeldError that names the holder.

    With `queue` wait for it instead, for `longest` seconds, and report the holder by `queue`.
    """
    said, until = False, time.monotonic() + longest
    while True:
        try:
            return closing(LoadLock(warehouse, lane))
        except LockHeldError as held:
            if queue is None or time.monotonic() >= until:
                raise
            if not said:
                queue(f"waiting: {held}")
                said = True
            time.sleep(QUEUE_POLL)
