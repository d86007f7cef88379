"""On a day without a session nothing is loaded, once the last one before it was loaded whole."""

from datetime import date, datetime, time
from pathlib import Path

import pytest

from loaders import trading_time
from loaders.engine.jobs import finish_job, start_job
from loaders.engine.request import LoadRequest
from loaders.settings import Settings, load_settings
from loaders.trading_time import SHANGHAI, resting_since
from loaders.warehouse.content import content_id
from loaders.warehouse.postgres import open_warehouse
from orchestration.run.calendar_check import nothing_to_do
from tests.bench import settings_at

FRIDAY, SATURDAY = date(2026, 6, 12), date(2026, 6, 13)
ALL = LoadRequest("tdx")


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), SHANGHAI)


@pytest.fixture
def settings(prepared_dsn: str, tmp_path: Path) -> Settings:
    return settings_at(prepared_dsn, tmp_path)


def loaded(
    settings: Settings,
    as_of: datetime,
    status: str = "succeeded",
    request: LoadRequest = ALL,
    retry_of: int | None = None,
) -> int:
    warehouse = open_warehouse(settings)
    mode = "retry" if retry_of else request.mode
    content = content_id(warehouse)
    job = start_job(warehouse, content, "tdx", request, mode, as_of, retry_of)
    finish_job(warehouse, content, job, status)
    return job


def test_a_run_rests_on_a_day_without_a_session_after_a_load(settings: Settings) -> None:
    saturday = at(SATURDAY, 17, 30)
    assert nothing_to_do(settings, ALL, saturday) is None
    loaded(settings, at(FRIDAY, 17, 30))
    message = nothing_to_do(settings, ALL, saturday)
    assert message is not None
    assert "2026-06-12 " in message
    assert nothing_to_do(settings, ALL, at(FRIDAY, 17, 40)) is None
    # a holiday in the middle of a week, of which nothing is loaded
    assert nothing_to_do(settings, ALL, at(date(2026, 10, 1), 17, 30)) is None


def test_late_data_are_loaded_on_a_day_without_a_session_too(settings: Settings) -> None:
    saturday = at(SATURDAY, 17, 30)
    loaded(settings, at(FRIDAY, 15, 30))  # before all of the day was there
    loaded(settings, at(FRIDAY, 17, 30), request=LoadRequest("tdx", keys=("sh600000",)))
    loaded(settings, at(FRIDAY, 17, 30), request=LoadRequest("tdx", mode="realtime"))
    partial = loaded(settings, at(FRIDAY, 17, 30), "partial")
    assert nothing_to_do(settings, ALL, saturday) is None
    loaded(settings, at(FRIDAY, 21), retry_of=partial)
    assert nothing_to_do(settings, ALL, saturday) is not None


def test_the_client_folder_is_read_on_a_day_without_a_session_too(
    settings: Settings, tmp_path: Path
) -> None:
    saturday = at(SATURDAY, 17, 30)
    loaded(settings, at(FRIDAY, 17, 30))
    assert nothing_to_do(settings, ALL, saturday) is not None
    with_folder = settings.model_copy(
        update={"tdx": settings.tdx.model_copy(update={"client": tmp_path})}
    )
    assert nothing_to_do(with_folder, ALL, saturday) is None


def test_a_source_with_its_own_agenda_decides_itself(settings: Settings) -> None:
    assert nothing_to_do(settings, LoadRequest("ib"), at(SATURDAY, 17, 30)) is None


def test_before_holidays_are_announced_only_weekends_are_rest() -> None:
    year = trading_time.horizon().year + 1
    days = [date(year, 1, day) for day in range(1, 15)]
    rests = {day for day in days if resting_since(at(day, 18), time(16)) is not None}
    assert rests == {day for day in days if day.weekday() >= 5}


def test_an_unavailable_warehouse_is_left_to_the_load(tmp_path: Path) -> None:
    dead = f"postgresql://u@127.0.0.1:9/d?host={tmp_path}"
    settings = load_settings({"QUOTEMILL_WAREHOUSE_URL": dead}, cwd=tmp_path)
    assert nothing_to_do(settings, ALL, at(SATURDAY, 17, 30)) is None
