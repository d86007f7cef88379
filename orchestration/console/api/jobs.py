"""Loads: the list, one with its progress, its events, its log."""

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from loaders.engine import job_list, job_status
from loaders.engine.job_status import JobView, Part
from orchestration.console.api.answers import Answer, JobId, Limit
from orchestration.console.context import Console
from orchestration.console.errors import NotThere, scrub
from orchestration.console.watching import JobWatch
from quotemill.errors import UsageError

Before = Annotated[int | None, Query(ge=1, lt=2**63, description="load number")]
PIECE = 2**16  # characters of a log that are sent at once


class Streamed(StreamingResponse):
    """An answer that is read as it is sent; what it reads is closed though its reader left."""

    def __init__(
        self,
        pieces: Iterator[str],
        source: Generator[Any, None, None],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(pieces, media_type="application/x-ndjson", headers=headers)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await run_in_threadpool(self._source.close)


class JobRow(Answer):
    """A load with totals of its tasks. Times are in UTC. `held_by`: why it is waiting."""

    job_id: int
    source: str
    mode: str
    status: str
    requested_by: str
    parameters: dict[str, Any]
    retry_of: int | None
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    held_by: str | None
    done: int
    skipped: int
    failed: int
    rows_new: int
    rows_changed: int
    rows_unchanged: int


class Task(Answer):
    """A task of a load. Use `id` to cancel after it."""

    id: str
    task_no: int
    dataset: str
    exchange: str | None
    status: str
    keys: int
    done: int
    skipped: int
    failed: int
    rows_read: int
    rows_new: int
    rows_changed: int
    started_at: datetime | None
    finished_at: datetime | None


class Failure(Answer):
    """A key that failed to load, and the reason."""

    dataset: str
    key: str
    reason: str


class Progress(Answer):
    """All datasets together: `rate` in keys per second, and `left` in seconds at that rate."""

    keys: int
    reached: int
    rate: float | None
    left: float | None


class Job(Answer):
    """A load with its request, progress, datasets, tasks and failures."""

    job_id: int
    source: str
    lane: str
    mode: str
    status: str
    requested_by: str
    parameters: dict[str, Any]
    retry_of: int | None
    as_of: datetime | None
    started_at: datetime
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_after_task: int | None
    error: str | None
    held_by: str | None
    seconds: float
    progress: Progress
    parts: list[Part]
    tasks: list[Task]
    failures: list[Failure]


class Jobs(Answer):
    jobs: list[JobRow]


def routes(console: Console, watch: JobWatch) -> APIRouter:
    router = APIRouter(prefix="/jobs", tags=["loads"])

    @router.get("")
    def list_jobs(limit: Limit = 20, before: Before = None) -> Jobs:
        """List the last loads, or the last ones before a number: `quotemill loads`."""
        listed = console.read_any(lambda conn: job_list.recent_jobs(conn, limit, before=before))
        return Jobs(jobs=[JobRow(**job) for job in listed or ()])

    @router.get("/{job_id}")
    def read_job(job_id: JobId) -> Job:
        """Show a load with its progress, tasks and errors: `quotemill loads 12`."""
        view = watch.read(job_id)
        tasks = job_status.read_tasks(console.require_warehouse(), job_id)
        return describe_job(view, tasks)

    @router.get(
        "/{job_id}/events",
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def watch_job(job_id: JobId) -> StreamingResponse:
        """Stream the progress of a load as server-sent events: `quotemill loads 12 --follow`."""
        await run_in_threadpool(watch.read, job_id)

        watch.refuse_if_full()
        return StreamingResponse(watch.stream(job_id), media_type="text/event-stream")

    @router.get(
        "/{job_id}/log",
        response_class=Response,
        responses={200: {"content": {"application/x-ndjson": {}}}},
    )
    def read_log(job_id: JobId) -> Response:
        """Show its log as JSON lines: `quotemill loads 12 --log load.jsonl`."""
        lines = job_status.read_log(console.require_warehouse(), job_id)
        try:
            first = next(lines)
        except UsageError as error:
            raise NotThere(str(error), hint="List them with GET /api/jobs.") from None
        named = {"content-disposition": f'attachment; filename="job-{job_id}.jsonl"'}
        return Streamed(_write_lines(chain([first], lines)), lines, named)

    return router


def _write_lines(lines: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines as JSON, in pieces: a long log is sent as it is read."""
    piece = ""
    for line in lines:
        # the other fields are words of ours
        own = {name: scrub(line[name]) for name in ("event", "code", "detail") if name in line}
        piece += json.dumps(line | own, ensure_ascii=False) + "\n"
        if len(piece) > PIECE:
            yield piece
            piece = ""
    yield piece


def describe_job(view: JobView, tasks: list[dict[str, Any]]) -> Job:
    document = view.as_json()
    progress = Progress(keys=view.keys, reached=view.reached, rate=view.rate, left=view.left)
    job_id = document["job_id"]
    shown = [Task(id=f"{job_id}-{task['task_no']}", **task) for task in tasks]
    return Job(**document, progress=progress, tasks=shown)
