"""The jobs that ship, and how settings change them."""

from pathlib import Path

import pytest

from loaders.settings import Settings, load_settings
from orchestration.cli.schedule.jobs import find_command, takes_as_of
from orchestration.schedule import jobs
from orchestration.schedule.jobs import Row, shipped_jobs
from quotemill.errors import SettingsError

SOURCES = {
    "QUOTEMILL_TDX__BASE_URL": "http://tdx.example:8080",
    "IB_HOST": "127.0.0.1",
    "QUOTEMILL_IB__SLOT_BEFORE_CLOSE_ENABLED": "true",
    "QUOTEMILL_TQ__ACCOUNT": "somebody",
    "QUOTEMILL_TQ__PASSWORD": "secret",
    "QUOTEMILL_TQ__VARIETIES": "SHFE.cu",
}
TDX = {"QUOTEMILL_TDX__BASE_URL": "http://tdx.example:8080"}


def configured(tmp_path: Path, toml: str = "", **environ: str) -> Settings:
    (tmp_path / "quotemill.toml").write_text(toml, "utf-8")
    return load_settings(environ, cwd=tmp_path)


def test_each_source_ships_with_its_jobs_and_all_of_them_are_commands(tmp_path: Path) -> None:
    known = jobs.read_jobs(configured(tmp_path, **SOURCES))
    assert set(known) == {name for shipped in shipped_jobs().values() for name in shipped}
    for job in known.values():
        assert callable(find_command(job).callback), job.name
        assert job.source is not None or job.name in shipped_jobs()[""]


def test_jobs_whose_command_has_a_day_take_it(tmp_path: Path) -> None:
    known = jobs.read_jobs(configured(tmp_path, **SOURCES))
    assert takes_as_of(known["tq_daily"])
    assert not takes_as_of(known["backup"])


def test_futures_load_after_the_maintenance_and_again_if_it_lasts(tmp_path: Path) -> None:
    job = jobs.read_jobs(configured(tmp_path, **SOURCES))["tq_daily"]
    assert (job.rule, job.retry) == ("daily 19:45 Asia/Shanghai XSHG", 60)


def test_jobs_of_a_source_that_is_not_configured_are_left_out(tmp_path: Path) -> None:
    toml = '[schedule.ib_close]\nwhen = "daily 17:10"'
    assert set(jobs.read_jobs(configured(tmp_path, toml, **TDX))) == {
        *shipped_jobs()["tdx"],
        "backup",
    }


def test_a_wrong_rule_of_a_source_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"ib_close: when 'every 7m' .* every 5m, 10m"
    ) as raised:
        jobs.read_jobs(configured(tmp_path, '[schedule.ib_close]\nwhen = "every 7m"', **TDX))
    assert raised.value.hint == ""  # the message has the forms


def test_jobs_of_a_service_need_one(tmp_path: Path) -> None:
    folder = {"QUOTEMILL_TDX__CLIENT": str(tmp_path)}
    for_service = {"tdx_selftest", "tdx_reconcile"}
    known = jobs.read_jobs(configured(tmp_path, **folder))
    assert set(known) == {*shipped_jobs()["tdx"], "backup"} - for_service
    toml = '[schedule.tdx_selftest]\nwhen = "off"'
    assert jobs.read_jobs(configured(tmp_path, toml, **folder))["tdx_selftest"].timing is None
    assert for_service < set(jobs.read_jobs(configured(tmp_path, **folder, **TDX)))
    # nor does a slot that is not set have one
    assert "ib_snapshot_before_close" not in jobs.read_jobs(
        configured(tmp_path, IB_HOST="127.0.0.1")
    )


def test_settings_change_only_what_they_name(tmp_path: Path) -> None:
    toml = '[schedule.tdx_daily]\nwhen = "daily 18:00"\ndeadline = 60'
    job = jobs.read_jobs(configured(tmp_path, toml, **TDX))["tdx_daily"]
    assert (job.rule, job.deadline) == ("daily 18:00 Asia/Shanghai XSHG", 60)
    assert (job.command, job.on_overlap) == (("quotemill", "run", "tdx"), "queue")


def test_a_variable_changes_a_job(tmp_path: Path) -> None:
    environ = TDX | {
        "QUOTEMILL_SCHEDULE__TDX_DAILY__WHEN": "off",
        "QUOTEMILL_SCHEDULE": "tdx_daily",
    }
    assert jobs.read_jobs(configured(tmp_path, **environ))["tdx_daily"].timing is None


def test_an_empty_calendar_takes_every_day(tmp_path: Path) -> None:
    toml = '[schedule.tdx_daily]\ncalendar = ""'
    assert (
        jobs.read_jobs(configured(tmp_path, toml, **TDX))["tdx_daily"].rule
        == "daily 17:30 Asia/Shanghai"
    )


def test_a_job_of_ones_own(tmp_path: Path) -> None:
    toml = """
        [schedule.dump]
        command = "warehouse dump --overwrite '/backup/all of it.dump'"
        when = "weekly sat 20:00"
    """
    job = jobs.read_jobs(configured(tmp_path, toml, **TDX))["dump"]
    assert job.command[-1] == "/backup/all of it.dump"
    assert (job.rule, job.kind, job.source) == ("weekly sat 20:00 UTC", "warehouse", None)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[schedule.tdx_dayly]\nwhen = "daily 17:30"', "did you mean tdx_daily"),
        (
            '[schedule.tdx_daily]\nwhen = "at five"',
            "schedule.tdx_daily: when 'at five' must be one of",
        ),
        (
            '[schedule.tdx_daily]\ntime_zone = "Peking"',
            "schedule.tdx_daily: unknown time zone 'Peking'",
        ),
        (
            '[schedule.tdx_daily]\ncalendar = "XSGH"',
            "schedule.tdx_daily: unknown calendar 'XSGH'",
        ),
        ('[schedule.x]\ncommand = "loaders"\nwhen = "daily 17:30"', "is not a command"),
        ('[schedule.x]\ncommand = "run \'tdx"\nwhen = "off"', "schedule.x: No closing quotation"),
        ('[schedule.tdx_daily]\nwen = "off"', "schedule.tdx_daily.wen .* did you mean when?"),
        ('[schedule.tdx_daily]\non_overlap = "start"', "schedule.tdx_daily.on_overlap"),
        ('[schedule."a b"]\nwhen = "off"', "schedule"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    tmp_path: Path, toml: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        jobs.read_jobs(configured(tmp_path, toml, **TDX))


def test_a_job_that_cannot_be_read_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    toml = """
        [schedule.tdx_daily]
        when = "at five"
        [schedule.hello]
        when = "daily 12:00"
    """
    known, wrong = jobs.survey(configured(tmp_path, toml, **TDX))
    assert set(wrong) == {"tdx_daily", "hello"}
    assert set(known) == {*shipped_jobs()["tdx"], "backup"} - set(wrong)


def test_a_job_whose_command_there_is_not_is_refused(tmp_path: Path) -> None:
    toml = '[schedule.x]\ncommand = "rnu tdx"\nwhen = "off"'
    with pytest.raises(SettingsError, match=r"schedule\.x: .* rnu$"):
        find_command(jobs.read_jobs(configured(tmp_path, toml, **TDX))["x"])


def test_a_job_whose_command_takes_no_such_option_is_refused(tmp_path: Path) -> None:
    toml = '[schedule.x]\ncommand = "run tdx --json --full"\nwhen = "off"'
    with pytest.raises(SettingsError, match=r"schedule\.x: .* --full$"):
        find_command(jobs.read_jobs(configured(tmp_path, toml, **TDX))["x"])


@pytest.mark.parametrize(
    "command", ["dbt build --select kline_daily_qfq+", "warehouse psql --command 'select 1'"]
)
def test_a_job_may_hand_options_on(tmp_path: Path, command: str) -> None:
    toml = f'[schedule.x]\ncommand = "{command}"\nwhen = "off"'
    find_command(jobs.read_jobs(configured(tmp_path, toml, **TDX))["x"])


def test_a_job_of_an_export_by_name_says_what_to_set_instead(tmp_path: Path) -> None:
    command = """export rows 'select "a" from b' '/data/bars' --to parquet"""
    row = Row(name="export_bars", kind="followed export", timing=command)
    known, wrong = jobs.survey(configured(tmp_path, **TDX), [row])
    assert "export_bars" not in known
    assert "an export by its name" in str(wrong["export_bars"])
    assert wrong["export_bars"].hint.startswith("Add [schedule.export_bars] to quotemill.toml")
    said = wrong["export_bars"].hint.rpartition("command = ")[2]
    toml = f'[schedule.export_bars]\nwhen = "daily 06:30"\ncommand = {said}'
    known, wrong = jobs.survey(configured(tmp_path, toml, **TDX), [row])
    assert not wrong
    assert known["export_bars"].command[3:5] == ('select "a" from b', "/data/bars")
    assert callable(find_command(known["export_bars"]).callback)


@pytest.mark.parametrize("end", ["/data/bars --to duckdb", "s3://bucket/bars --to parquet"])
def test_a_job_of_an_export_of_a_gone_form_says_so(tmp_path: Path, end: str) -> None:
    row = Row(
        name="export_bars",
        kind="followed export",
        timing=f"export rows kline_daily {end} --since 2024",
    )
    _, wrong = jobs.survey(configured(tmp_path, **TDX), [row])
    assert "with --to parquet and another folder" in wrong["export_bars"].hint
