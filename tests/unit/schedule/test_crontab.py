"""Five fields as cron reads them, held against APScheduler's reading where the two agree."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.schedule.crontab import WEEKDAYS, parse_crontab

DAYS = st.dates(date(2024, 1, 1), date(2028, 12, 31))


def field(least: int, most: int) -> st.SearchStrategy[str]:
    """Stars, steps, numbers, ranges with and without a step, and lists of these."""

    @st.composite
    def part(draw: st.DrawFn) -> str:
        begin = draw(st.integers(least, most))
        end = draw(st.integers(begin, most))
        if begin == end:
            return f"{begin}"
        step = draw(st.integers(1, end - begin))  # a longer one the other reader refuses
        return f"{begin}-{end}" if step == 1 else f"{begin}-{end}/{step}"

    lists = st.lists(part(), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.integers(1, 9).map(lambda n: f"*/{n}"), lists)


def apscheduler_times(text: str, day: date) -> list[time]:
    trigger = CronTrigger.from_crontab(text, timezone=UTC)
    at = datetime.combine(day, time(), UTC)
    end, times = at + timedelta(days=1), []
    while (at := trigger.get_next_fire_time(None, at)) is not None and at < end:
        times.append(at.time())
        at += timedelta(minutes=1)
    return times


@settings(max_examples=40)
@given(field(0, 59), field(0, 23), field(1, 31), field(1, 12), DAYS)
def test_clocks_and_days_of_the_month_are_those_of_another_reader(
    minute: str, hour: str, month_day: str, month: str, day: date
) -> None:
    text = f"{minute} {hour} {month_day} {month} *"
    assert parse_crontab(text).times_on(day) == apscheduler_times(text, day)


@given(st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4), DAYS)
def test_weekdays_by_name_are_those_of_another_reader(names: list[str], day: date) -> None:
    text = f"30 9 * * {','.join(names)}"
    assert parse_crontab(text).times_on(day) == apscheduler_times(text, day)


@pytest.mark.parametrize(
    ("weekdays", "names"),
    [
        ("0", ["sun"]),
        ("7", ["sun"]),
        ("6", ["sat"]),
        ("1-5", ["mon", "tue", "wed", "thu", "fri"]),
        ("0-6", list(WEEKDAYS)),
        ("5-7", ["fri", "sat", "sun"]),
        ("fri-sun", ["fri", "sat", "sun"]),
        ("MON,Wed", ["mon", "wed"]),
        ("*", list(WEEKDAYS)),
    ],
)
def test_weekdays_are_numbered_as_cron_does(weekdays: str, names: list[str]) -> None:
    days = [date(2026, 11, 15) + timedelta(days=n) for n in range(7)]  # from a Sunday on
    tab = parse_crontab(f"0 0 * * {weekdays}")
    matching = [WEEKDAYS[n] for n, day in enumerate(days) if tab.times_on(day)]
    assert sorted(matching) == sorted(names)


def test_one_of_a_day_of_the_month_and_a_weekday_suffices() -> None:
    tab = parse_crontab("0 8 13 * fri")
    days = [date(2026, 11, 1) + timedelta(days=n) for n in range(30)]
    numbers = [day.day for day in days if tab.times_on(day)]
    assert numbers == [6, 13, 20, 27]
    assert [d.day for d in days if parse_crontab("0 8 13,14 * fri").times_on(d)] == [
        6,
        13,
        14,
        20,
        27,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "30 9 * *",
        "30 9 * * * *",
        "60 9 * * *",
        "30 24 * * *",
        "30 9 0 * *",
        "30 9 * 13 *",
        "30 9 * * 8",
        "30 9 * * some",
        "30 9 * * fri-mon",
        "*/0 9 * * *",
        "3/5 9 * * *",
        "5-3 9 * * *",
        "30, 9 * * *",
        "@daily",
        "",
    ],
)
def test_what_is_no_crontab_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_crontab(text)
