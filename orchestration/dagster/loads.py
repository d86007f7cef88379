"""Each source as one multi-asset of its landed tables, and the check that nothing is missing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from loaders import sources
from loaders.engine.request import LoadRequest
from loaders.engine.source import Source
from loaders.settings import Settings
from orchestration.dagster.build import build_touched
from orchestration.dagster.commands import Answer, raise_failure, run_command
from quotemill.errors import LockHeldError, NotDue, PartialError

CHECK = "loaded"
Task = Mapping[str, Any]  # of the JSON of a load


class LoadConfig(dg.Config):
    """The values that a load takes.

    as_of: the time to load by, such as that of a sandbox's clock: 2025-12-12T18:00
    retry_job: load again what failed in this job, and nothing else
    """

    as_of: str | None = None
    retry_job: int | None = None


def table_key(source: str, table: str) -> dg.AssetKey:
    """The key of a landed table, which is that of dbt's source."""
    return dg.AssetKey([f"raw_{source}", table])


def datasets_by_key(source: Source[Any]) -> dict[dg.AssetKey, list[str]]:
    """The datasets that land each table of a source."""
    datasets: dict[dg.AssetKey, list[str]] = {}
    for dataset in source.datasets:
        for table in filter(None, (dataset.landed, dataset.beside)):
            datasets.setdefault(table_key(source.name, table.name), []).append(dataset.name)
    return datasets


def make_loads(settings: Settings, name: str) -> list[dg.AssetsDefinition]:
    """The tables of a source as assets, and a check of them that fails where rows are missing.

    A table is materialised by each load that was to load it, also where keys of it failed: what is
    downstream would be skipped, in a run that is then called a success. The check has a step of its
    own, whose failure is that of the run and keeps nothing from being built.
    """
    source = sources.find(name)
    datasets = datasets_by_key(source)
    # a source without datasets to name is loaded whole
    can_subset = any(source.requests.modes.values())

    @dg.multi_asset(
        name=f"load_{name}",
        specs=[
            dg.AssetSpec(key, group_name=name, skippable=True, kinds={"postgres"})
            for key in datasets
        ],
        can_subset=can_subset,
        pool=f"source_{name}",
    )
    def load(
        context: dg.AssetExecutionContext, config: LoadConfig
    ) -> Iterator[dg.MaterializeResult[Any]]:
        chosen = context.selected_asset_keys
        is_whole = chosen == set(datasets)
        named = [] if is_whole else _choose_datasets(source, datasets, chosen)
        tasks = [
            task
            for answer in _run_loads(settings, source, named, config, context)
            for document in answer.documents
            for task in document.get("tasks", ())
        ]
        for key in sorted(chosen):
            metadata = describe_tasks([t for t in tasks if t["dataset"] in datasets[key]])
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    @dg.multi_asset_check(
        name=f"check_{name}",
        specs=[dg.AssetCheckSpec(CHECK, asset=key) for key in datasets],
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        missing = []
        keys = sorted(check.asset_key for check in context.selected_asset_check_keys)
        for record in context.instance.get_asset_records(keys):
            event = record.asset_entry.last_materialization
            figures = event.asset_materialization.metadata if event else {}
            if "failed" not in figures:  # no task was for it: the check before still counts
                continue
            key, failed = record.asset_entry.asset_key, figures["failed"].value
            if failed:
                missing.append(f"{key.path[-1]}: {failed}")
            yield dg.AssetCheckResult(
                passed=not failed,
                asset_key=key,
                check_name=CHECK,
                severity=dg.AssetCheckSeverity.WARN,
                metadata=dict(figures),
            )
        if missing:
            raise dg.Failure(
                f"keys that could not be loaded: {', '.join(missing)}; `quotemill status` lists "
                f"them, `quotemill retry {name}` loads them again",
                allow_retries=False,
            )

    return [load, check]


def describe_tasks(tasks: Sequence[Task]) -> dict[str, Any]:
    """The figures of a table's tasks, as metadata: `failed` counts keys without their rows.

    Empty where no task was for the table.
    """
    if not tasks:
        return {}
    figures = {
        name: sum(task[name] for task in tasks)
        for name in ("rows_new", "rows_changed", "rows_rejected")
    }
    failures = {key: why for task in tasks for key, why in task["failures"].items()}
    # what an outage or a stop left: no key of it was tried
    unloaded = sum(task["status"] in ("pending", "running", "cancelled") for task in tasks)
    metadata: dict[str, Any] = {**figures, "failed": len(failures) + unloaded}
    if failures:
        first = dict(list(failures.items())[:20])
        metadata["failures"] = dg.MetadataValue.json(first)
    return metadata


def _choose_datasets(
    source: Source[Any], datasets: Mapping[dg.AssetKey, Sequence[str]], chosen: Iterable[Any]
) -> list[str]:
    """The datasets to name for some tables: those of the usual load before others."""
    usual = set(source.requests.modes["incremental"])
    named: dict[str, None] = {}
    for key in sorted(chosen):
        own = [name for name in datasets[key] if name in usual] or datasets[key]
        named |= dict.fromkeys(own)
    return list(named)


def _run_loads(
    settings: Settings,
    source: Source[Any],
    datasets: Sequence[str],
    config: LoadConfig,
    context: dg.AssetExecutionContext,
) -> Iterator[Answer]:
    """Run the loads of a source; between two parts build what the later one reads."""
    at = ["--as-of", config.as_of] if config.as_of else []
    if config.retry_job is not None:
        yield run_load(["loaders", "retry", source.name, str(config.retry_job)], at)
        return
    command = ["loaders", "run", source.name]
    command += [word for name in datasets for word in ("--dataset", name)]
    for n, mode in enumerate(_modes_of_parts(settings, source, datasets)):
        if n:
            try:
                build_touched(settings, context.log.info, wait=None)
            except LockHeldError as error:  # the step of the build comes later
                context.log.warning(str(error))
        yield run_load([*command, *(["--mode", mode] if mode else [])], at)


def _modes_of_parts(
    settings: Settings, source: Source[Any], datasets: Sequence[str]
) -> Sequence[str]:
    """The modes of the loads that need a build in between; one empty mode where none does."""
    if datasets:
        return [""]
    try:
        parts = source.requests.parts(settings, LoadRequest(source.name), None)
    except NotDue:  # the command says it
        return [""]
    is_by_mode = len(parts) > 1 and not any(part.options for part in parts)
    return [part.mode for part in parts] if is_by_mode else [""]


def run_load(command: Sequence[str], at: Sequence[str] = ()) -> Answer:
    """Run a load; where keys failed, once more for these alone. `at` is its `--as-of`.

    What fails still is for the check to say. Raises RetryRequested, Failure.
    """
    answer = run_command(*command, *at)
    if answer.exit_code != PartialError.exit_code:
        raise_failure(command, answer)
        return answer
    retried = [_retry(document, at) for document in answer.documents]
    return Answer(answer.exit_code, tuple(retried))


def _retry(document: Mapping[str, Any], at: Sequence[str]) -> Mapping[str, Any]:
    """The result of a load with the tasks that a retry of its failed keys has left."""
    if document.get("exit_code") != PartialError.exit_code or not document.get("job_id"):
        return document
    again = run_command("loaders", "retry", document["source"], str(document["job_id"]), *at)
    if again.exit_code not in (0, PartialError.exit_code):
        return document  # its failures stand
    repaired = [task | {"failures": {}, "status": "succeeded"} for task in document["tasks"]]
    tasks = [task for later in again.documents for task in later.get("tasks", ())]
    return {**document, "tasks": [*repaired, *tasks]}
