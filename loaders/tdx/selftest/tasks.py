"""Background tasks that the self-test starts in the service, and their end.

A task writes files on the service's own disk until it is cancelled. If the answer to the start was
lost, the task is identified in the service's list: the only new task of its kind.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from loaders.requests.http import RetryableAnswer, RetryPolicy, retrying
from loaders.tdx.selftest.conditions import Unmet, demand, member, require_rows
from loaders.tdx.selftest.exchange import Exchange, NotPassed

ENDED = "任务不存在或已结束"
UNKNOWN = "任务不存在"


@dataclass
class Tasks:
    """Tasks of one self-test.

    started: the kind of each task by id.
    ended: how each task ended, by id.
    """

    exchange: Exchange
    policy: RetryPolicy
    started: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    _before: set[str] | None = None
    _unanswered: list[str] = field(default_factory=list)

    async def starting(self, kind: str) -> None:
        """Prepare for a request that starts a task of this kind."""
        if self._before is None:
            # without the list a task whose id is lost looks like any other user's task
            with contextlib.suppress(NotPassed, Unmet):
                self._before = {task["id"] for task in await self._listed()}
        self._unanswered.append(kind)

    def answered(self, kind: str, task_id: str | None) -> None:
        """Store the request's answer: the new task's id, or None if it was refused."""
        self._unanswered.remove(kind)
        if task_id is not None:
            self.started[task_id] = kind

    async def cancel(self, task_id: str) -> str:
        """Cancel a task, return its end. Raises NotPassed or Unmet if it may still run."""
        try:
            data = await self.exchange.ask("POST", f"/api/tasks/{task_id}/cancel")
        except NotPassed as failure:
            if failure.message != ENDED:
                raise
            self.ended[task_id] = await self._how_it_ended(task_id)
        else:
            status, of = member(data, "status", str), member(data, "task_id", str)
            demand(status == "cancelled", f"the cancel answers with the status {status!r}")
            demand(of == task_id, f"the cancel answers with the id {of}")
            self.ended[task_id] = "cancelled"
        return self.ended[task_id]

    async def cancel_all(self) -> list[dict[str, str]]:
        """Cancel all running tasks, with retries; return kind, id and end of each."""
        lost = []
        for kind in self._unanswered:
            try:
                await self._patiently(partial(self._find, kind))
            except (RetryableAnswer, Unmet) as failure:
                lost.append({"kind": kind, "id": "", "end": f"may still run: {failure}"})
        for task_id in self.started:
            if task_id not in self.ended:
                try:
                    await self._patiently(partial(self.cancel, task_id))
                except (RetryableAnswer, Unmet) as failure:
                    self.ended[task_id] = f"may still run: {failure}"
        return lost + [
            {"kind": kind, "id": task_id, "end": self.ended[task_id]}
            for task_id, kind in self.started.items()
        ]

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` and retry it after NotPassed. Raises RetryableAnswer, Unmet."""

        async def attempt() -> None:
            try:
                await work()
            except NotPassed as failure:
                raise RetryableAnswer(str(failure)) from None

        await retrying(self.policy, attempt)

    async def _how_it_ended(self, task_id: str) -> str:
        try:
            status = member(await self.exchange.ask("GET", f"/api/tasks/{task_id}"), "status", str)
        except NotPassed as failure:
            if failure.message != UNKNOWN:
                raise
            return "the service no longer knows it"
        demand(
            status != "running", "the cancel says that the task has ended, the task says running"
        )
        return f"ended by itself: {status}"

    async def _find(self, kind: str) -> None:
        """Add the only new task of its kind to `started`. Raises NotPassed, Unmet."""
        if self._before is None:
            raise Unmet("the list of tasks could not be read before")
        new = [
            task["id"]
            for task in await self._listed()
            if task["id"] not in self._before | set(self.started) and task.get("type") == kind
        ]
        demand(len(new) < 2, f"{len(new)} tasks are new, and only one can be of this self-test")
        self.started |= dict.fromkeys(new, kind)

    async def _listed(self) -> list[dict[str, Any]]:
        rows = require_rows(await self.exchange.ask("GET", "/api/tasks"))
        for row in rows:
            member(row, "id", str)
        return rows
