"""The models of dbt as assets; one step builds what loads touched and judges the result.

dbt runs in the step's own process, by the function that `quotemill run` calls: with the build lock,
a record in ops.builds, a profile below the home and the whole project. dagster-dbt's command copies
the dbt folder without ../macros once more than 200 models are selected, and holds no lock.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg

from loaders import sources
from loaders.engine.progress import Silent
from loaders.settings import Settings
from loaders.trading_time import SHANGHAI
from orchestration import nightly
from orchestration.dagster.commands import failures_explained, interrupted_as_commands
from orchestration.dagster.models import Model
from orchestration.run import build as builds
from orchestration.run.build_result import BuildResult
from orchestration.run.stages import BUILD_WAIT, RunResult
from orchestration.schedule.switching import open_prepared

CHECK = "no_findings"
SOURCE_TAG = "quotemill/source"  # of a run: the source whose clock its checks go by
AFTER_BUILD = ("qa", "archive", "alerts", "report")
POOL = "warehouse_build"
BUILD = "build"  # name of the step


class BuildConfig(dg.Config):
    """The values that the build takes.

    as_of: the time that data are judged by, such as that of a sandbox's clock: 2025-12-12T18:00
    """

    as_of: str | None = None


class _Log(Silent):
    """The lines of a build in Dagster's log of the step."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def line(self, text: str) -> None:
        self._write(text)


def build_touched(
    settings: Settings,
    report: Callable[[str], None],
    *,
    wait: float | None,
    models: Sequence[str] = (),
) -> BuildResult | None:
    """Build what loads touched, or these models; None if nothing was touched.

    `wait`: seconds to wait for another build; None: LockHeldError at once.
    """
    warehouse = open_prepared(settings)
    arguments = ["--select", *models] if models else []
    with interrupted_as_commands():
        return builds.build(
            settings,
            warehouse,
            partial(_Log, report),
            only_touched=not models,
            with_views=True,  # else their assets would look older than what they show
            arguments=arguments,
            wait=wait,
        )


def make_build(settings: Settings, models: Sequence[Model]) -> dg.AssetsDefinition:
    """All models, seeds and snapshots as one multi-asset, with a check of each model of findings.

    The run fails where a model or a test of structure failed, and for findings that are new, as
    `quotemill run` does; what was built stays.
    """
    by_name = {model.name: dg.AssetKey(model.key) for model in models}
    checked = {model.name: by_name[model.name] for model in models if model.finds}

    @dg.multi_asset(
        name=BUILD,
        specs=[
            dg.AssetSpec(
                dg.AssetKey(model.key),
                deps=[dg.AssetKey(key) for key in model.reads],
                group_name=model.group,
                description=model.description,
                skippable=True,
                kinds={"dbt"},
            )
            for model in models
        ],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key) for key in checked.values()],
        can_subset=True,
        pool=POOL,
    )
    def build(
        context: dg.AssetExecutionContext, config: BuildConfig
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        chosen = context.selected_asset_keys
        named = sorted(name for name, key in by_name.items() if key in chosen)
        is_part = len(named) < len(by_name)
        with failures_explained(BUILD):
            result = build_touched(
                settings, context.log.info, wait=BUILD_WAIT, models=named if is_part else ()
            )
        for name in result.built if result else ():
            if by_name.get(name) in chosen:
                assert result is not None
                metadata = {"build": result.build_id}
                yield dg.MaterializeResult(asset_key=by_name[name], metadata=metadata)
        judged = None if is_part else _judge(settings, context, config.as_of)
        if judged is not None:
            counts = count_findings(settings)
            # in each run again, though an event costs as much as a query: a check without a result
            # is shown as skipped
            for name, key in checked.items():
                yield dg.AssetCheckResult(
                    passed=name not in counts,
                    asset_key=key,
                    check_name=CHECK,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"findings": counts.get(name, 0)},
                )
        if result is not None and not result.succeeded:
            raise dg.Failure(f"build {result.build_id}: {result.failures}", allow_retries=False)
        if judged is not None and judged.exit_code:
            text = judged.why.error or f"new findings: {judged.judgement}"
            raise dg.Failure(
                f"{text} (list them with `quotemill findings --new`)",
                metadata={"exit_code": judged.exit_code},
                allow_retries=False,
            )

    return build


def count_findings(settings: Settings) -> dict[str, int]:
    """Errors and warnings that nobody acknowledged, by the model that found them."""
    warehouse = open_prepared(settings)
    query = (
        "select model, count(*)::int from ops.seen_findings where qa_schema = %s "
        "and severity <> 'info' and acknowledged_at is null and model is not null group by model"
    )
    qa = warehouse.inner_schema("qa")
    return dict(warehouse.ask(lambda conn: conn.execute(query.encode(), (qa,)).fetchall()))


def _judge(settings: Settings, context: dg.AssetExecutionContext, as_of: str | None) -> RunResult:
    """Judge, archive, alert and report, as the stages of `quotemill run` after its build."""
    source = context.run.tags.get(SOURCE_TAG)
    names: Collection[str] = [source] if source else sources.configured(settings)[0]
    with interrupted_as_commands():
        return nightly.run(
            settings,
            list(names),
            lambda: contextlib.nullcontext(Silent()),
            builds.stderr,
            command="dagster",
            as_of=_parse_time(as_of),
            only=AFTER_BUILD,
        )


def _parse_time(text: str | None) -> datetime | None:
    """A time of the configuration of a run; without an offset it is that of Shanghai."""
    time = datetime.fromisoformat(text) if text else None
    return time.replace(tzinfo=SHANGHAI) if time and not time.tzinfo else time
