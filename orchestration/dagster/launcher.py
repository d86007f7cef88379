"""A launcher of runs that lets Dagster's monitoring see whether a run's process is alive."""

import time
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Starts runs at code servers, as Dagster does by default, and asks these for their health.

    A code server knows the processes that it started. Where it died or was started again, nobody
    else notices how they end: by default such runs stay in progress, and keep their pools.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._away_since: dict[str, float] = {}  # by run

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """A run has failed that its code server does not know.

        A server that is away may soon be back, and what failed before could not be tried again; it
        has as long as a run has to start.
        """
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:  # it has ended meanwhile
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id))
        except DagsterUserCodeUnreachableError:
            since = self._away_since.setdefault(run.run_id, time.monotonic())
            if time.monotonic() - since < self._instance.run_monitoring_start_timeout_seconds:
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            return CheckRunHealthResult(WorkerStatus.FAILED, "its code server is unreachable")
        self._away_since.pop(run.run_id, None)
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its code server does not run it")
