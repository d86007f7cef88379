"""Every self-test check passes on a good answer and fails on each wrong one."""

import copy
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from loaders.tdx.selftest.checks import CHECKS, NotPassed
from loaders.tdx.selftest.conditions import NEEDS, PULL_KLINE, PULL_TRADE, Facts

TODAY, DAY = date(2024, 11, 8), date(2024, 11, 7)
KLINE_TASK, TRADE_TASK = (
    "9b0d1b1b-7c3d-4ce6-9a0e-bd9f5e0dcf3b",
    "1f0d1b1b-7c3d-4ce6-9a0e-bd9f5e0dcf3b",
)
FACTS = Facts(
    TODAY,
    DAY,
    date(2024, 10, 31),
    {PULL_KLINE: KLINE_TASK, PULL_TRADE: TRADE_TASK},
)
Change = Callable[[Any], Any]


def bars(count: int, last: date = TODAY, **changes: Any) -> list[dict[str, Any]]:
    days = [last - timedelta(days=count - 1 - i) for i in range(count)]
    bar = {"Close": 11000, "Volume": 10, "Amount": 9, "UpCount": 3, "DownCount": 2} | changes
    return [{"Time": f"{day}T15:00:00+08:00", **bar} for day in days]


def quote(digits: str) -> dict[str, Any]:
    return {"Code": digits, "K": {"Last": 11030, "Open": 0, "High": 0, "Low": 0, "Close": 0}}


def ticks(count: int, name: str = "Time") -> list[dict[str, Any]]:
    stamp = [f"{DAY}T{10 + i // 60}:{i % 60:02d}:00+08:00" for i in range(count)]
    return [{name: text, "Price": 11030, "Volume": 1, "Status": 0, "Number": 0} for text in stamp]


def whole(rows: list[Any], **more: Any) -> dict[str, Any]:
    return {"count": len(rows), "list": rows, **more}


def page(rows: list[Any], **more: Any) -> dict[str, Any]:
    return {"Count": len(rows), "List": rows, **more}


def day_of(day: date) -> dict[str, str]:
    return {"iso": f"{day}", "numeric": f"{day:%Y%m%d}"}


MINUTES = [
    {"Time": f"{m // 60:02d}:{m % 60:02d}", "Price": 1, "Number": 1}
    for m in [*range(571, 691), *range(781, 901)]
]
FUNDS = [{"code": f"51030{i}", "name": "x", "exchange": "sh", "last_price": 1.5} for i in range(5)]
COUNTS = [{"exchange": e, "count": n} for e, n in (("sh", 5), ("sz", 3), ("bj", 1))]
TASK = {"id": TRADE_TASK, "type": "pull_trade", "status": "running", "started_at": "x"}

GOOD: dict[str, Any] = {
    "health": {"status": "healthy", "time": "1730617200"},
    "server_status": {"status": "running", "connected": True},
    "quote": [quote("000001"), quote("600000")],
    "batch_quote": [quote("000001"), quote("600000"), quote("000002")],
    "kline": page(bars(20)),
    "kline_history": page(bars(10)),
    "kline_all": whole(bars(50), meta={"source": "tdx", "type": "day"}),
    "kline_all_tdx": whole(bars(10), meta={"source": "tdx", "type": "week"}),
    "kline_all_ths": whole(bars(50, Amount=0), meta={"source": "ths", "type": "day"}),
    "index": page(bars(10)),
    "index_all": whole(bars(12)),
    "minute": page(MINUTES, date="20241107"),
    "trade": page(ticks(300)),
    "trade_history": page(ticks(200)),
    "minute_trade_all": page(ticks(300)),
    "trade_history_full": whole(ticks(300, "time"), covered_dates=["20241107"]),
    "search": [{"code": "000001", "exchange": "sz", "name": "x"}],
    "stock_info": {"quote": {}, "kline_day": {}, "minute": {}},
    "codes": {"total": 1, "exchanges": {}, "codes": [{"code": "600000"}]},
    "stock_codes": whole([f"sh60000{i}" for i in range(10)]),
    "etf_codes": whole([f"sh51030{i}" for i in range(10)]),
    "etf": {"total": 5, "list": FUNDS},
    "market_stats": {"sh": {"total": 2}, "sz": {"total": 3}, "bj": {"total": 0}},
    "market_count": {"total": 9, "exchanges": COUNTS},
    "workday": {"date": day_of(TODAY), "previous": [day_of(DAY)] * 6, "next": []},
    "workday_range": whole([day_of(DAY - timedelta(days=i)) for i in range(10)]),
    "income": whole([{"offset": 5}]),
    "task_pull_kline": {"task_id": KLINE_TASK},
    "task_pull_trade": {"task_id": TRADE_TASK},
    "task_list": [{"id": KLINE_TASK}, TASK],
    "task_get_cancel": TASK,
}


def put(*path: Any) -> Change:
    """A change that sets the last of `path` at the place that the others lead to."""
    *way, last, value = path

    def change(data: Any) -> Any:
        place = data
        for step in way:
            place = place[step]
        place[last] = value
        return data

    return change


def drop(*path: Any) -> Change:
    *way, last = path

    def change(data: Any) -> Any:
        place = data
        for step in way:
            place = place[step]
        del place[last]
        return data

    return change


def instead(value: Any) -> Change:
    return lambda _: value


def short(key: str, count: str) -> Change:
    """One row less, with the count saying so."""

    def change(data: Any) -> Any:
        data[key] = data[key][:-1]
        data[count] = len(data[key])
        return data

    return change


def last_first(data: Any) -> Any:
    data["List"][0]["Time"] = data["List"][-1]["Time"].replace("2024", "2025")
    return data


MANY_BARS = whole(bars(51), meta={"source": "tdx", "type": "day"})
BAD: dict[str, dict[str, Change]] = {
    "health": {"another status": put("status", "ill"), "no status": drop("status")},
    "server_status": {"another status": put("status", "stopped"), "a number": put("status", 1)},
    "quote": {
        "one is missing": drop(1),
        "another order": lambda d: d[::-1],
        "no price": put(0, "K", "Last", 0),
        "price as text": put(0, "K", "Last", "11030"),
    },
    "batch_quote": {"one is missing": drop(2), "one more": lambda d: [*d, quote("600001")]},
    "kline": {
        "no bar": put("List", None),
        "an old series": put("List", bars(20, date(2024, 10, 30))),
        "not ascending": last_first,
        "a bar twice": put("List", [*bars(20), *bars(1)]),
        "no valid time": put("List", 3, "Time", "yesterday"),
    },
    "kline_history": {"nine bars": short("List", "Count"), "no list": drop("List")},
    "kline_all": {
        "no bar": instead(whole([], meta={"source": "tdx"})),
        "more than asked for": instead(MANY_BARS),
        "a count of others": put("count", 49),
        "adjusted ones": put("meta", "source", "ths"),
        "no source": drop("meta"),
        "no turnover": put("list", 5, "Amount", 0),
    },
    "kline_all_tdx": {
        "more than asked for": put("list", bars(11)),
        "no turnover": put("list", 5, "Amount", 0),
        "adjusted ones": put("meta", "source", "ths"),
    },
    "kline_all_ths": {
        "raw ones": put("meta", "source", "tdx"),
        "no bar": instead(whole([], meta={"source": "ths"})),
    },
    "index": {
        "nine bars": short("List", "Count"),
        "no members": lambda d: put("List", -2, "DownCount", 0)(put("List", -2, "UpCount", 0)(d)),
        "only today": put("List", [bars(1)[0]] * 10),
    },
    "index_all": {"eleven": short("list", "count"), "no list": put("list", None)},
    "minute": {
        "239 minutes": short("List", "Count"),
        "the last label": put("List", -1, "Time", "14:59"),
        "a count of others": put("Count", 239),
    },
    "trade": {"no tick": put("List", None), "not ascending": last_first},
    "trade_history": {"a short page": short("List", "Count"), "none": put("List", [])},
    "minute_trade_all": {"fewer than a page": put("List", ticks(199)), "none": put("List", None)},
    "trade_history_full": {
        "more than the limit": lambda d: d | whole(ticks(501, "time")),
        "another day": put("covered_dates", ["20241106"]),
        "no day": put("covered_dates", []),
        "one day more": put("covered_dates", ["20241107", "20241108"]),
        "a count of others": put("count", 1),
    },
    "search": {"nothing": instead([]), "another code": put(0, "code", "000002")},
    "stock_info": {"two parts missing": instead({"quote": {}}), "empty": instead({})},
    "codes": {"empty": lambda d: d | {"total": 0, "codes": []}, "wrong total": put("total", 2)},
    "stock_codes": {"nine": short("list", "count"), "bare digits": put("list", 0, "600000")},
    "etf_codes": {"nine": short("list", "count"), "bare digits": put("list", 0, "510300")},
    "etf": {"four": short("list", "total"), "of sz": put("list", 4, "exchange", "sz")},
    "market_stats": {
        "no stock of sh": put("sh", "total", 0),
        "no stock of sz": put("sz", "total", 0),
        "sz is missing": drop("sz"),
    },
    "market_count": {
        "two exchanges": lambda d: d | {"total": 8, "exchanges": COUNTS[:2]},
        "one twice": put("exchanges", 2, "exchange", "sh"),
        "another sum": put("total", 10),
    },
    "workday": {"five days": drop("previous", 0), "no date": drop("date")},
    "workday_range": {"nine": short("list", "count"), "none": put("list", [])},
    "income": {"none": instead(whole([])), "a count of others": put("count", 2)},
    "task_pull_kline": {"no UUID": put("task_id", "7"), "no id": drop("task_id")},
    "task_pull_trade": {"no UUID": put("task_id", "7"), "no id": drop("task_id")},
    "task_list": {"one is missing": drop(0), "the other is missing": drop(1), "none": instead([])},
    "task_get_cancel": {"another task": put("id", KLINE_TASK), "no status": drop("status")},
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_good_answer_passes(check: Any) -> None:
    check.judge(copy.deepcopy(GOOD[check.name]), FACTS)


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, faults in BAD.items() for fault in faults]
)
def test_a_wrong_answer_fails(name: str, fault: str) -> None:
    check = next(check for check in CHECKS if check.name == name)
    wrong = BAD[name][fault](copy.deepcopy(GOOD[name]))
    with pytest.raises(NotPassed):
        check.judge(wrong, FACTS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("nonsense", [None, {}, [], "text", 7, [None], {"list": 7}])
def test_an_answer_of_another_shape_fails_every_check(check: Any, nonsense: Any) -> None:
    with pytest.raises(NotPassed):
        check.judge(nonsense, FACTS)


def test_there_are_31_checks_and_each_can_fail() -> None:
    assert [check.no for check in CHECKS] == list(range(1, 32))
    assert len({check.route for check in CHECKS}) == 31
    names = {check.name for check in CHECKS}
    assert names == set(GOOD) == set(BAD)
    assert all(len(faults) >= 2 for faults in BAD.values())


def test_one_part_of_stock_info_may_be_missing() -> None:
    check = next(check for check in CHECKS if check.name == "stock_info")
    check.judge({"quote": {}, "minute": {}}, FACTS)


def test_the_bar_of_the_running_day_may_lack_its_turnover() -> None:
    check = next(check for check in CHECKS if check.name == "kline_all")
    data = copy.deepcopy(GOOD["kline_all"])
    data["list"][-1]["Amount"] = 0
    assert check.judge(data, FACTS) == 50


def test_what_a_check_needs_is_missing_by_name() -> None:
    nothing = Facts(TODAY)
    needing = {c.name: nothing.missing(c.needs) for c in CHECKS if nothing.missing(c.needs)}
    days = ["kline", "minute", "trade", "trade_history", "minute_trade_all", "trade_history_full"]
    assert list(needing) == [*days, "task_list", "task_get_cancel"]
    assert {needing[name] for name in days} == {NEEDS["day"]}
    assert not any(FACTS.missing(check.needs) for check in CHECKS)
