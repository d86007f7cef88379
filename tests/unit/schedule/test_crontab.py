"""Five fields as cron reads them."""

from datetime import date, time, timedelta

import pytest

from orchestration.schedule.crontab import WEEKDAYS, parse_crontab


def test_fields_give_the_times_of_a_day() -> None:
    day = date(2026, 11, 20)
    listed = [time(1, 10), time(1, 30), time(1, 50), time(3, 10), time(3, 30), time(3, 50)]
    assert parse_crontab("10-50/20 1,3 20 nov *").times_on(day) == listed
    assert parse_crontab("*/30 9 * * *").times_on(day) == [time(9), time(9, 30)]
    assert parse_crontab("*/30 9 21 * *").times_on(day) == []
    assert parse_crontab("*/30 9 * 9-oct *").times_on(day) == []
    assert len(parse_crontab("* * * * *").times_on(day)) == 24 * 60


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
        "*/0 9 * * *",
        "5-3 9 * * *",
        "5-5 9 * * *",
        "0 9 * nov-oct *",
        "30 9 * * fri-mon",
        "30, 9 * * *",
        "@daily",
        "30 9 L * *",
        "30 9 * * fri#2",
        "R 9 * * *",
        "",
    ],
)
def test_what_is_no_crontab_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_crontab(text)
