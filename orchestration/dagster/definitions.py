"""The definitions that Dagster loads: `dagster dev -m orchestration.dagster.definitions`.

Settings are read as every command reads them, from quotemill.toml and the environment of each
process; none of them is in a run's configuration.
"""

import os

import dagster as dg

from loaders import sources
from loaders.loads import require_configured
from loaders.settings import Settings, load_settings
from orchestration.dagster.build import make_build
from orchestration.dagster.loads import datasets_by_key, make_loads
from orchestration.dagster.models import read_models
from orchestration.dagster.schedules import NIGHT, Assets, make_retry, make_schedule
from orchestration.schedule import jobs as schedule_jobs
from quotemill.errors import SettingsError


@dg.definitions
def definitions() -> dg.Definitions:
    """Assets, jobs, schedules and the sensor of the configured sources.

    Raises SettingsError where none is configured, or the warehouse is the embedded server.
    """
    settings = load_settings()
    refuse_embedded(settings, is_dev="DAGSTER_IS_DEV_CLI" in os.environ)
    return define(settings)


def define(settings: Settings) -> dg.Definitions:
    """The definitions of these settings. Raises SettingsError."""
    names, _ = require_configured(settings, "loaders sandbox tdx")
    build = make_build(settings, read_models(settings))
    loads = [part for name in names for part in make_loads(settings, name)]
    landed = {name: list(datasets_by_key(sources.find(name))) for name in names}
    assets = Assets(landed, list(build.keys))
    targets = {NIGHT: assets.make_job(NIGHT, names)}
    retries = {name: assets.make_job(f"retry_{name}", [name]) for name in names}
    schedules = []
    for job in schedule_jobs.read_jobs(settings).values():
        targets[job.name] = assets.make_scheduled_job(job)
        if job.timing is not None:
            schedules.append(make_schedule(job, job.timing, targets[job.name]))
    return dg.Definitions(
        assets=[build, *(load for load in loads if not isinstance(load, dg.AssetChecksDefinition))],
        asset_checks=[load for load in loads if isinstance(load, dg.AssetChecksDefinition)],
        jobs=[*targets.values(), *retries.values()],
        schedules=schedules,
        sensors=[make_retry(settings, retries)],
    )


def refuse_embedded(settings: Settings, *, is_dev: bool) -> None:
    """Raise SettingsError for the embedded server, which one machine alone reaches.

    `dagster dev` runs everything on one machine, as `quotemill run` does.
    """
    if settings.warehouse_url is None and not is_dev:
        raise SettingsError(
            "Dagster's workers share one warehouse, but the embedded server is only reachable on "
            "its own machine",
            hint="Set QUOTEMILL_WAREHOUSE_URL=postgresql://user:password@host:5432/database, or "
            "try it with `dagster dev`.",
        )
