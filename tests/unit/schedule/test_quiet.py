"""A check that found nothing due spares the next ones the warehouse, and never a start."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from loaders.settings import Settings
from orchestration.schedule import quiet
from orchestration.schedule.jobs import Row

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_it_is_quiet_until_the_first_next_start(settings: Settings) -> None:
    rows = [
        Row("tdx_daily", next_run_at=NOW + 7 * MINUTE),
        Row("tq_daily", next_run_at=NOW + 3 * MINUTE),
        Row("off", is_enabled=False, next_run_at=NOW + MINUTE),
        Row("never"),
    ]
    quiet.store(settings, rows, NOW)
    assert quiet.read(settings, NOW)
    assert quiet.read(settings, NOW + 3 * MINUTE - timedelta(seconds=1))
    assert quiet.read(settings, NOW + 3 * MINUTE) is None


def test_the_warehouse_is_asked_at_least_every_ten_minutes(settings: Settings) -> None:
    quiet.store(settings, [Row("tdx_daily", next_run_at=NOW + timedelta(days=1))], NOW)
    assert quiet.read(settings, NOW + quiet.LONGEST - timedelta(seconds=1))
    assert quiet.read(settings, NOW + quiet.LONGEST) is None


def test_other_settings_end_it(settings: Settings) -> None:
    quiet.store(settings, [], NOW)
    for changes in (
        {"log_days": settings.log_days + 1},
        {"warehouse_url": SecretStr("postgresql://me:secret@db/another")},
    ):
        assert quiet.read(settings.model_copy(update=changes), NOW) is None


def test_jobs_that_cannot_be_read_are_repeated(settings: Settings) -> None:
    wrong = {"[schedule.mine]: when 'noon' must be one of": 3}
    quiet.store(settings, [], NOW, wrong)
    assert quiet.read(settings, NOW) == quiet.Quiet(wrong)


def test_a_clock_that_was_ahead_is_not_believed(settings: Settings) -> None:
    quiet.store(settings, [], NOW + timedelta(days=1))
    assert quiet.read(settings, NOW) is None


def test_a_command_that_changes_a_job_ends_it(settings: Settings) -> None:
    quiet.store(settings, [], NOW)
    quiet.forget(settings.home)
    assert quiet.read(settings, NOW) is None


def test_a_damaged_file_is_no_evidence(settings: Settings) -> None:
    assert quiet.read(settings, NOW) is None
    quiet.store(settings, [], NOW)
    (settings.home / "schedule" / "quiet.json").write_text("{")
    assert quiet.read(settings, NOW) is None
