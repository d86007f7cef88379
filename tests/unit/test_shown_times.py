"""Times as people read them name their zone: that of an exchange, or of this machine."""

import time
from datetime import UTC, datetime

import pytest

from loaders import sources
from loaders.trading_time import format_time
from orchestration.cli.schedule import preview

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
JOB = dict.fromkeys(("rule", "command"), "") | {"state": "on", "last_exit_code": None}


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Shanghai", "2026-11-20 17:30:00 Shanghai"),
        ("America/New_York", "2026-11-20 04:30:00 New York"),
        ("UTC", "2026-11-20 09:30:00 UTC"),
    ],
)
def test_a_time_is_shown_with_the_city_of_its_zone(zone: str, shown: str) -> None:
    assert format_time(AT, zone) == shown
    assert format_time(AT.astimezone(), zone) == shown


@pytest.mark.parametrize(
    ("machine", "shown"),
    [
        ("UTC", "2026-11-20 09:30 UTC"),
        ("Asia/Shanghai", "2026-11-20 17:30 UTC+08:00"),
        ("America/St_Johns", "2026-11-20 06:00 UTC-03:30"),
    ],
)
def test_what_is_of_no_source_is_shown_in_the_zone_of_the_machine(
    machine: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", machine)
        time.tzset()
        assert format_time(AT, sources.find_zone(None), "minutes") == shown
        assert format_time(AT, sources.find_zone("of-another-version"), "minutes") == shown
    time.tzset()


def test_jobs_are_listed_in_their_own_zone(capsys: pytest.CaptureFixture[str]) -> None:
    tdx = JOB | {"job": "tdx_daily", "time_zone": "Asia/Shanghai", "next_start": AT}
    ib = JOB | {"job": "ib_close", "time_zone": "America/New_York", "next_start": None}
    preview._print([tdx | {"last_run_at": None}, ib | {"last_run_at": AT}])
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.split() == ["tdx_daily", "on", "2026-11-20", "17:30", "Shanghai", "–"]
    assert second.split() == ["ib_close", "on", "–", "2026-11-20", "04:30", "New", "York"]


@pytest.mark.parametrize(
    ("names", "zone"),
    [
        (["tdx", "tdx", None], "Asia/Shanghai"),
        (["tdx", "tq"], "Asia/Shanghai"),
        (["tdx", "ib"], ""),
        ([None, "of-another-version"], ""),
    ],
)
def test_a_list_is_in_the_zone_of_its_exchanges_where_they_have_one(
    names: list[str | None], zone: str
) -> None:
    assert sources.find_common_zone(names) == zone
