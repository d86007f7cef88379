"""Assets, jobs and schedules that Dagster sees."""
# ruff: noqa: F811

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders import sources
from loaders.engine.failed_keys import FailedKey
from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from orchestration.schedule import jobs as schedule_jobs
from orchestration.schedule.crontab import parse_crontab
from quotemill.errors import SettingsError
from tests.requirements import require_dagster
from tests.toy.bench import Toy, bench  # noqa: F401

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """All sources configured, on a server that nothing here asks."""
    require_dagster()
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "WAREHOUSE_URL": "postgresql://me:hidden-word@127.0.0.1:1/x",
        "TDX__BASE_URL": "http://127.0.0.1:1",
        "TQ__ACCOUNT": "me",
        "TQ__PASSWORD": "hidden-word",
        "IB__HOST": "127.0.0.1",
    }.items():
        monkeypatch.setenv(f"QUOTEMILL_{name}", value)
    return load_settings()


@pytest.mark.long
def test_dagster_sees_each_landed_table_and_each_scheduled_job(settings: Settings) -> None:
    from orchestration.dagster import definitions

    defined = definitions.define(settings)
    graph = defined.resolve_asset_graph()
    landed = {key for key in graph.get_all_asset_keys() if key.path[0].startswith("raw_")}
    made = {key for key in landed if graph.get(key).is_materializable}
    read = {key for key in landed if graph.get(key).child_keys}
    assert len(read) > 20
    # refused rows land with each load, and have no dataset
    assert {key.path[-1] for key in read - made} <= {"rejected_row"}
    tables = {(f"raw_{n}", t.name) for n in sources.MODULES for t in sources.find(n).tables}
    assert {tuple(key.path) for key in landed} <= tables

    jobs = schedule_jobs.read_jobs(settings)
    repository = defined.get_repository_def()
    assert set(jobs) <= {job.name for job in repository.get_all_jobs()}
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert set(schedules) == {name for name, job in jobs.items() if job.timing}
    assert schedules["tdx_daily"].execution_timezone == "Asia/Shanghai"
    assert "hidden-word" not in repr([job.run_config for job in repository.get_all_jobs()])


def test_cron_names_every_start_of_each_job(settings: Settings) -> None:
    from orchestration.dagster.schedules import explain_skip, list_crontabs

    week = timedelta(days=8)
    for job in schedule_jobs.read_jobs(settings).values():
        if job.timing is None:
            continue
        zone = job.timing.zone
        named = {
            datetime.combine(day, wall, zone).astimezone(UTC)
            for text in list_crontabs(job.timing)
            for n in range(-1, 11)
            for day in [(NOW + timedelta(days=n)).astimezone(zone).date()]
            for wall in parse_crontab(text).times_on(day)
        }
        starts = set(job.timing.starts(NOW, NOW + week))
        assert starts <= named, job.name
        inside = {at for at in named if NOW < at <= NOW + week}
        assert {at for at in inside if not explain_skip(job, job.timing, at, at)} == starts


def test_a_start_that_captures_the_moment_is_not_made_up_for(settings: Settings) -> None:
    from orchestration.dagster.schedules import explain_skip

    jobs = schedule_jobs.read_jobs(settings)
    late = timedelta(hours=1)
    for name, is_made in (("ib_snapshot", False), ("tdx_daily", True)):
        timing = jobs[name].timing
        assert timing is not None
        at = timing.next_after(NOW)
        assert at is not None
        assert (explain_skip(jobs[name], timing, at, at + late) is None) == is_made


def test_a_job_that_captures_the_moment_is_not_tried_again(settings: Settings) -> None:
    from orchestration.dagster.schedules import limit_runs

    jobs = schedule_jobs.read_jobs(settings)
    snapshot, daily = limit_runs(jobs["ib_snapshot"]), limit_runs(jobs["tdx_daily"])
    assert snapshot == {"dagster/max_runtime": "1740", "dagster/max_retries": "0"}
    assert "dagster/max_retries" not in daily


def test_keys_are_loaded_again_that_failed_lately_and_nobody_accepted() -> None:
    require_dagster()
    from orchestration.dagster.schedules import RETRY_FOR, find_retries

    def failed(job: int, ago: timedelta, acknowledged: bool = False) -> FailedKey:
        at = NOW if acknowledged else None
        return FailedKey(job, "tdx", "ticks", "k", "why", job, job, NOW - ago, at, None, None)

    hour = timedelta(hours=1)
    keys = [failed(3, hour), failed(3, hour), failed(4, hour, True), failed(5, RETRY_FOR + hour)]
    assert find_retries(keys, NOW) == [("tdx", 3)]


def test_a_load_that_fails_under_a_number_that_a_restore_took_back_is_retried(
    bench: Toy, tmp_path: Path
) -> None:
    require_dagster()
    import dagster as dg

    from orchestration.dagster.schedules import make_retry

    @dg.op(name="load_toy", config_schema={"retry_job": int})
    def load_again() -> None: ...

    @dg.job
    def again() -> None:
        load_again()

    sensor = make_retry(bench.settings, {"toy": again})

    def asked() -> list[tuple[str, Any]]:
        context = dg.build_sensor_context(instance=dg.DagsterInstance.ephemeral())
        requests = sensor.evaluate_tick(context).run_requests
        return [(str(request.run_key), request.run_config) for request in requests or ()]

    assert asked() == []
    bench.load()
    dump(open_warehouse(bench.settings), tmp_path / "dump")
    (bench.folder / "cc.csv").unlink()
    assert bench.load(keys=("cc",)).job_id == 2
    [(key, config)] = asked()
    assert config == {"ops": {"load_toy": {"config": {"retry_job": 2}}}}
    restore(open_warehouse(bench.settings), tmp_path / "dump", clean=True)
    assert bench.load(keys=("cc",)).job_id == 2
    [(other, same)] = asked()
    assert (other != key, same) == (True, config)


def test_the_embedded_server_is_for_one_machine_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.dagster.definitions import refuse_embedded

    refuse_embedded(settings, is_dev=False)
    monkeypatch.delenv("QUOTEMILL_WAREHOUSE_URL")
    embedded = load_settings()
    assert os.environ.get("DAGSTER_IS_DEV_CLI") is None
    refuse_embedded(embedded, is_dev=True)
    with pytest.raises(SettingsError, match="machine") as refused:
        refuse_embedded(embedded, is_dev=False)
    assert "QUOTEMILL_WAREHOUSE_URL" in refused.value.hint
