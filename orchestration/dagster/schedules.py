"""The jobs of `quotemill schedule` as jobs and schedules of Dagster; retries of failed keys."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from loaders.engine import failed_keys
from loaders.settings import Settings
from loaders.warehouse.content import find_content
from loaders.warehouse.postgres import find_warehouse
from orchestration.dagster.build import BUILD, SOURCE_TAG
from orchestration.dagster.commands import raise_failure, run_command
from orchestration.dagster.loads import describe_tasks, run_load
from orchestration.schedule.crontab import Crontab
from orchestration.schedule.due import GRACE
from orchestration.schedule.jobs import Job
from orchestration.schedule.timing import Timing

NIGHT = "night"  # the job that does what `quotemill run` does
# failed keys are loaded again this often, for so long; then they wait for the next load
RETRY_EVERY, RETRY_FOR = timedelta(minutes=30), timedelta(hours=6)
MAX_RUNTIME = "dagster/max_runtime"  # seconds after which Dagster's monitoring ends a run
MAX_RETRIES = "dagster/max_retries"  # how often a run whose process died is tried again
# the steps of a run wait for each other anyway, and a process for each would import all again
_ONE_PROCESS: Any = dg.in_process_executor
_ALL_DAYS, _ALL_HOURS, _ALL_WEEKDAYS = tuple(range(1, 32)), tuple(range(24)), tuple(range(7))
_ALL_MONTHS = tuple(range(1, 13))


@dataclass(frozen=True)
class Assets:
    """The assets that jobs select: the landed tables of each configured source, and the models."""

    landed: Mapping[str, Sequence[dg.AssetKey]]
    models: Sequence[dg.AssetKey]

    def make_job(
        self,
        name: str,
        sources: Sequence[str],
        *,
        as_of: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Any:
        """A job that loads sources, then builds and judges; without a source it only builds.

        `as_of` is passed to its loads; `tags` are those of its runs.
        """
        loads = [key for source in sources for key in self.landed[source]]
        clock = {SOURCE_TAG: sources[0]} if len(sources) == 1 else {}
        steps = [*(f"load_{source}" for source in sources), BUILD]
        return dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*loads, *self.models),
            config={"ops": {step: {"config": {"as_of": as_of}} for step in steps}},
            tags={**clock, **(tags or {})},
            executor_def=_ONE_PROCESS,
        )

    def make_scheduled_job(self, job: Job) -> Any:
        """A scheduled job: of assets where it is a whole load or build, else its command."""
        program, kind, *rest = job.command
        as_of = None
        if rest[-2:-1] == ["--as-of"]:
            *rest, _, as_of = rest
        tags = limit_runs(job)
        if (program, kind) == ("quotemill", "run") and not rest:
            return self.make_job(job.name, list(self.landed), as_of=as_of, tags=tags)
        if (program, kind) == ("quotemill", "run") and len(rest) == 1 and rest[0] in self.landed:
            return self.make_job(job.name, rest, as_of=as_of, tags=tags)
        if job.command == ("quotemill", "build"):
            return self.make_job(job.name, [], tags=tags)
        return make_command_job(job)


def make_command_job(job: Job) -> dg.JobDefinition:
    """A job that runs a command of ours.

    It is in no pool: loads of one source that have lanes of their own do not wait for each other.
    """
    is_load = job.command[:2] == ("loaders", "run")

    @dg.op(name=f"run_{job.name}")
    def run() -> None:
        if not is_load:
            raise_failure(job.command, run_command(*job.command, json_answer=False))
            return
        tasks = [task for d in run_load(job.command).documents for task in d.get("tasks", ())]
        if failed := describe_tasks(tasks).get("failed"):
            raise dg.Failure(f"{failed} keys could not be loaded", allow_retries=False)

    @dg.job(name=job.name, executor_def=_ONE_PROCESS, tags=limit_runs(job))
    def command() -> None:
        run()

    return command


def limit_runs(job: Job) -> dict[str, str]:
    """The tags that end a run at the job's deadline, and keep what is over from being tried again.

    That is a job which captures the moment; its next start comes anyway.
    """
    deadline = {MAX_RUNTIME: str(job.deadline * 60)} if job.deadline else {}
    return deadline | ({} if job.catch_up else {MAX_RETRIES: "0"})


def make_schedule(job: Job, timing: Timing, target: Any) -> dg.ScheduleDefinition:
    """The schedule of a job, stopped until somebody starts it.

    The lines of cron may name more times than the rule does; at those it skips.
    """

    def start(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        why = explain_skip(job, timing, context.scheduled_execution_time, datetime.now(UTC))
        return dg.SkipReason(why) if why else dg.RunRequest()

    return dg.ScheduleDefinition(
        name=job.name,
        job=target,
        cron_schedule=list_crontabs(timing),
        execution_timezone=job.zone,
        execution_fn=start,
    )


def explain_skip(job: Job, timing: Timing, at: datetime, now: datetime) -> str | None:
    """Why a job does not start at a time that cron names; None where it does."""
    at = at.astimezone(UTC)
    if at not in list(timing.starts(at - timedelta(seconds=1), at)):
        return f"{timing.calendar or timing.when} has no start at this time"
    if not job.catch_up and now - at > GRACE:
        return "it was missed, and its data are no longer available"
    return None


def list_crontabs(timing: Timing) -> list[str]:
    """Lines of cron that name every start of a rule, and maybe more, in the rule's zone."""
    if timing.every is not None:
        # sessions begin at whole or half hours
        return [f"*/{min(30, int(timing.every.total_seconds() // 60))} * * * *"]
    return [_write_crontab(tab) for tab in timing.tabs]


def _write_crontab(tab: Crontab) -> str:
    fields = (
        (tab.minutes, ()),
        (tab.hours, _ALL_HOURS),
        (tab.days, _ALL_DAYS),
        (tab.months, _ALL_MONTHS),
        (tab.weekdays, _ALL_WEEKDAYS),
    )
    return " ".join("*" if value == all_ else ",".join(map(str, value)) for value, all_ in fields)


def make_retry(settings: Settings, jobs: Mapping[str, Any]) -> dg.SensorDefinition:
    """The sensor that loads failed keys again; `jobs` by source load and build."""

    @dg.sensor(
        name="retry_failed_keys",
        jobs=list(jobs.values()),
        minimum_interval_seconds=int(RETRY_EVERY.total_seconds()),
    )
    def retry() -> Iterator[dg.RunRequest]:
        if (warehouse := find_warehouse(settings)) is None:
            return
        failed = warehouse.ask(failed_keys.read_failures)
        # a key that Dagster knows starts nothing, and after a restore numbers come again
        content = warehouse.ask(find_content)
        for source, job_id in find_retries(failed, datetime.now(UTC)):
            if source in jobs:
                step = {f"load_{source}": {"config": {"retry_job": job_id}}}
                yield dg.RunRequest(
                    run_key=f"{source} {job_id} {content}",
                    job_name=jobs[source].name,
                    run_config={"ops": step},
                )

    return retry


def find_retries(failed: Sequence[failed_keys.FailedKey], now: datetime) -> list[tuple[str, int]]:
    """Source and job of keys that nobody acknowledged, and that began to fail not long ago."""
    open_ = (key for key in failed if key.is_open and now - key.first_failed_at < RETRY_FOR)
    return sorted({(key.source, key.job_id) for key in open_})
