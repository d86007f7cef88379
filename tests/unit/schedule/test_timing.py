"""Schedule rules as times.

Nights on which clocks change, early closes, holidays, and no start lost between checks.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loaders.ib.slots import session_on
from loaders.trading_time import published_days, sessions
from orchestration.schedule.timing import Timing, parse_rule
from quotemill.errors import SettingsError

NEW_YORK, SHANGHAI = "America/New_York", "Asia/Shanghai"
ZONES = (NEW_YORK, SHANGHAI, "UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo")
CHANGING = (
    NEW_YORK,
    "Europe/Berlin",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Chatham",  # at 02:45
    "Africa/Casablanca",  # around Ramadan
    "Africa/Cairo",  # at midnight
    "America/Nuuk",  # on the evening before
    "Antarctica/Troll",  # by two hours
)
RULES = (
    "daily 02:30",
    "daily 01:30 23:59 00:00",
    "weekly sun 02:15",
    "monthly 1 02:30",
    "cron */7 * * * *",
    "cron 10-50/20 1-3 * * sat,sun",
    "every 30m",
    "every 6h",
    "every 5m in session",
    "every 60m in session",
)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


def rule(when: str, zone: str = NEW_YORK, calendar: str = "") -> Timing:
    timing = parse_rule(when, zone, calendar)
    assert timing is not None
    return timing


def local(timing: Timing, first: str, last: str) -> list[str]:
    """Starts from the midnight before one day to that after another, in the rule's zone."""
    begin, end = (
        datetime.combine(date.fromisoformat(day) + timedelta(days=n), time(), timing.zone)
        for day, n in ((first, 0), (last, 1))
    )
    starts = timing.starts(begin - timedelta(seconds=1), end - timedelta(seconds=1))
    return [f"{at.astimezone(timing.zone):%m-%d %H:%M %Z}" for at in starts]


@given(
    st.sampled_from(RULES), st.sampled_from(ZONES), MOMENTS, st.tuples(*[st.integers(0, 200)] * 2)
)
def test_no_start_is_lost_or_doubled_between_two_checks(
    when: str, zone: str, begin: datetime, hours: tuple[int, int]
) -> None:
    timing = rule(when, zone, "XNYS")
    middle = begin + timedelta(hours=hours[0])
    end = middle + timedelta(hours=hours[1])
    parts = [*timing.starts(begin, middle), *timing.starts(middle, end)]
    assert parts == list(timing.starts(begin, end))
    assert parts == sorted(set(parts))
    assert all(begin < at <= end for at in parts)


@given(st.sampled_from(ZONES), st.times(), st.dates(date(2015, 1, 1), date(2026, 12, 1)))
def test_a_daily_job_starts_once_on_each_day_at_any_time_of_day(
    zone: str, clock: time, first: date
) -> None:
    timing = rule(f"daily {clock:%H:%M}", zone)
    begin = datetime.combine(first, time(), ZoneInfo(zone)) - timedelta(seconds=1)
    starts = list(timing.starts(begin, begin.astimezone(UTC) + timedelta(days=200, hours=3)))
    days = [at.astimezone(timing.zone).date() for at in starts]
    assert len(days) == len(set(days))
    assert days[:200] == [first + timedelta(days=n) for n in range(200)]


def test_the_nights_on_which_the_clock_of_new_york_changes() -> None:
    spring, autumn = ("2026-03-07", "2026-03-09"), ("2026-10-31", "2026-11-02")
    assert local(rule("daily 02:30"), *spring) == [
        "03-07 02:30 EST",
        "03-08 03:30 EDT",
        "03-09 02:30 EDT",
    ]
    assert local(rule("daily 01:30"), *autumn) == [
        "10-31 01:30 EDT",
        "11-01 01:30 EDT",
        "11-02 01:30 EST",
    ]
    assert len(local(rule("cron 0,30 * * * *"), "2026-03-08", "2026-03-08")) == 46
    assert len(local(rule("cron 0,30 * * * *"), "2026-11-01", "2026-11-01")) == 50
    # hours that are named come once
    assert len(local(rule("cron 0,30 0-23 * * *"), "2026-11-01", "2026-11-01")) == 48
    assert local(rule("every 2h"), "2026-03-08", "2026-03-08")[:3] == [
        "03-08 00:00 EST",
        "03-08 03:00 EDT",
        "03-08 04:00 EDT",
    ]


@st.composite
def nights_of_change(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and the midnight of UTC before its clocks change."""
    # of the past: Morocco, for one, will stop changing its clocks
    zone, year = draw(st.sampled_from(CHANGING)), draw(st.integers(2023, 2025))
    days = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(367)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    changes = [day for day, a, b in zip(days, offsets, offsets[1:], strict=False) if a != b]
    return zone, draw(st.sampled_from(changes))


@given(
    nights_of_change(),
    st.sampled_from(("0", "30", "*/7", "15,45", "10-50/20")),
    st.sampled_from(("*", "*/2", "*/3", "0", "2", "1-3", "23", "0-23", "1-23/2")),
)
@example((NEW_YORK, datetime(2026, 3, 8, tzinfo=UTC)), "0", "*/2")  # 02:00 comes once, at 03:00
def test_starts_are_those_of_a_walk_over_all_minutes(
    night: tuple[str, datetime], minutes: str, hours: str
) -> None:
    zone, midnight = night
    timing = rule(f"cron {minutes} {hours} * * *", zone)
    begin, end = midnight - timedelta(days=1), midnight + timedelta(days=2)
    starts = walk(timing, begin, end)
    assert list(timing.starts(begin, end)) == starts
    for hour in range(48):
        at = begin + timedelta(hours=hour)
        assert timing.next_after(at) == next(start for start in starts if start > at)


def walk(timing: Timing, begin: datetime, end: datetime) -> list[datetime]:
    """The starts, by a look at the clock in each minute.

    A minute that the clock skips is the one as long after the change as it would have been.
    """
    [tab] = timing.tabs
    count = (end - begin) // timedelta(minutes=1)
    minutes = [begin + timedelta(minutes=n + 1) for n in range(count)]
    clocks = [at.astimezone(timing.zone) for at in minutes]
    shown = {clock.replace(tzinfo=None, fold=0) for clock in clocks}
    starts = []
    for at, clock in zip(minutes, clocks, strict=True):
        before = (at - timedelta(hours=3)).astimezone(timing.zone).utcoffset()
        assert before is not None
        unchanged = at.replace(tzinfo=None) + before
        walls = [] if clock.fold and not tab.hourly else [clock.replace(tzinfo=None, fold=0)]
        walls += [] if unchanged in shown else [unchanged]
        if any(wall.time() in tab.times_on(wall.date()) for wall in walls):
            starts.append(at)
    return starts


def test_after_the_change_of_clocks_new_york_opens_at_another_utc_time() -> None:
    timing = rule("daily 09:25", calendar="XNYS")
    starts = timing.starts(datetime(2026, 10, 30, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert [f"{at:%a %H:%M}" for at in starts] == ["Fri 13:25", "Mon 14:25"]


@given(st.dates(date(2024, 1, 1), date(2027, 12, 31)))
def test_half_hours_in_session_are_the_slots_of_option_chains(day: date) -> None:
    timing = rule("every 30m in session", calendar="XNYS")
    session = session_on(day)
    midnight = datetime.combine(day, time(), timing.zone)
    starts = list(timing.starts(midnight, midnight + timedelta(days=1)))
    assert starts == [slot.at for slot in session.slots] if session else starts == []


def test_an_early_close_ends_the_starts_in_session() -> None:
    timing = rule("every 30m in session", calendar="XNYS")
    starts = local(timing, "2026-11-26", "2026-11-27")  # Thanksgiving, and the day after
    assert (starts[0], starts[-1], len(starts)) == ("11-27 09:30 EST", "11-27 13:00 EST", 8)


def test_a_session_in_shanghai_has_its_break_at_noon() -> None:
    starts = local(rule("every 60m in session", SHANGHAI, "XSHG"), "2026-11-20", "2026-11-20")
    hours = ["09:30", "10:30", "11:30", "13:00", "14:00", "15:00"]
    assert [at[6:11] for at in starts] == hours


def test_a_chinese_holiday_has_no_start_and_the_weekend_that_is_worked_none_either() -> None:
    starts = local(rule("daily 17:30", SHANGHAI, "XSHG"), "2025-09-26", "2025-10-13")
    assert [at[:5] for at in starts] == ["09-26", "09-29", "09-30", "10-09", "10-10", "10-13"]


@given(st.dates(date(2015, 1, 1), date(2025, 6, 1)))
def test_a_job_of_shanghai_starts_on_its_trading_days(first: date) -> None:
    last = first + timedelta(days=200)
    starts = local(rule("daily 17:30", SHANGHAI, "XSHG"), str(first), str(last))
    assert [at[:5] for at in starts] == [f"{day:%m-%d}" for day in published_days(first, last)]


def test_a_week_and_a_month() -> None:
    assert local(rule("weekly sat 09:30", SHANGHAI), "2026-11-01", "2026-11-30") == [
        f"11-{day:02} 09:30 CST" for day in (7, 14, 21, 28)
    ]
    assert local(rule("monthly 28 10:00", SHANGHAI), "2026-01-01", "2026-03-31") == [
        f"{month:02}-28 10:00 CST" for month in (1, 2, 3)
    ]


def test_the_next_start_is_the_first_one_after_a_time() -> None:
    timing = rule("every 5m in session", SHANGHAI, "XSHG")
    friday = datetime(2026, 11, 20, 15, 0, tzinfo=ZoneInfo(SHANGHAI))
    coming = timing.next_after(friday)
    assert coming == datetime(2026, 11, 23, 9, 30, tzinfo=ZoneInfo(SHANGHAI))
    assert rule("cron 0 0 30 2 *").next_after(friday) is None


def test_sessions_without_a_break_are_one_span_and_unknown_exchanges_are_refused() -> None:
    [(begin, end)] = sessions("XNYS", 2026)[date(2026, 11, 27)]
    assert (begin.hour, end.hour, begin.tzinfo) == (14, 18, UTC)
    assert len(sessions("XSHG", 2026)[date(2026, 11, 20)]) == 2
    with pytest.raises(SettingsError, match="XNOW"):
        sessions("XNOW", 2026)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("dayly 17:30", "must be one of: off"),
        ("daily 25:00", "must be one of"),
        ("daily", "must be one of"),
        ("every 7m in session", "must be one of: .* · every 5m, 10m, 15m, 30m, 60m in session$"),
        ("every 7m", "must be one of: every 5m, 10m, 15m, 30m, 1h"),
        ("every 5h", "must be one of: every 5m"),
        ("30m", "must be one of"),
        ("weekly 17:30", "must be one of"),
        ("monthly 31 10:00", "must be one of"),
        ("cron 30 9 * *", "4 fields"),
        ("", "must be one of"),
    ],
)
def test_other_words_are_refused_with_those_that_are_known(when: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_rule(when, "UTC", "XNYS")


def test_a_rule_without_a_session_counts_from_midnight() -> None:
    [*halves] = local(rule("every 30m", SHANGHAI), "2026-11-21", "2026-11-21")  # a Saturday
    assert (halves[:2], len(halves)) == (["11-21 00:00 CST", "11-21 00:30 CST"], 48)
    quarters = local(rule("every 6h", SHANGHAI), "2026-11-21", "2026-11-21")
    assert [start[6:11] for start in quarters] == ["00:00", "06:00", "12:00", "18:00"]
    assert local(rule("every 30m", SHANGHAI, "XSHG"), "2026-11-21", "2026-11-21") == []


def test_a_session_needs_its_calendar_and_a_zone_its_name() -> None:
    with pytest.raises(ValueError, match="needs a calendar"):
        parse_rule("every 5m in session", "UTC", "")
    with pytest.raises(ValueError, match="Beijing"):
        parse_rule("daily 17:30", "Beijing")
    assert parse_rule("off", "UTC") is None
