"""Messages in, packets out: the rules that the real client relies on."""

from datetime import date, datetime, time
from typing import Any

import pytest

from loaders.sandbox.faults import FaultPlan
from loaders.sandbox.tq.faults import CATALOGUE
from loaders.sandbox.tq.market import Market
from loaders.sandbox.tq.session import ROWS_PER_PACKET, Session
from loaders.sandbox.tq.varieties import nanoseconds
from loaders.sandbox.tq.world import World

CODE = "SHFE.cu2601"
DAY = date(2025, 11, 18)


@pytest.fixture(scope="module")
def world() -> World:
    thick = {DAY: 5000}
    return World(
        ["SHFE.cu"], end=date(2025, 11, 20), ticks_per_day=thick, default_ticks=40, holidays=()
    )


def session_over(world: World, *faults: str) -> Session:
    session = Session(Market(world, FaultPlan(CATALOGUE, faults), world.end))
    packets(session)  # what every connection begins with
    return session


def packets(session: Session, *messages: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What a client gets that sends these and then asks for packets until there is none."""
    for message in messages:
        session.receive(message)
    found = []
    while True:
        session.receive({"aid": "peek_message"})
        packet = session.next_packet()
        if packet is None:
            return found
        assert packet["aid"] == "rtn_data"
        assert packet["data"][-1] == {}
        found.append(packet["data"])


def chart(**where: Any) -> dict[str, Any]:
    return {
        "aid": "set_chart",
        "chart_id": "c",
        "ins_list": CODE,
        "duration": 0,
        "view_width": 2000,
        **where,
    }


def merged(found: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Diffs laid over each other, null deletes."""

    def lay(over: dict[str, Any], under: dict[str, Any]) -> None:
        for key, value in over.items():
            if value is None:
                under[key] = None
            elif isinstance(value, dict):
                below = under.setdefault(key, {})
                if not isinstance(below, dict):
                    below = under[key] = {}
                lay(value, below)
            else:
                under[key] = value

    whole: dict[str, Any] = {}
    for packet in found:
        for diff in packet:
            lay(diff, whole)
    return whole


def test_one_packet_for_each_question_of_the_client(world: World) -> None:
    session = Session(Market(world, FaultPlan(CATALOGUE), world.end))
    assert session.next_packet() is None
    session.receive({"aid": "peek_message"})
    first = session.next_packet()
    assert first == {
        "aid": "rtn_data",
        "data": [{"account_id": "", "ins_list": "", "mdhis_more_data": False}, {}],
    }
    session.receive({"aid": "peek_message"})
    assert session.next_packet() is None  # nothing to tell yet
    session.receive({"aid": "subscribe_quote", "ins_list": CODE})
    told = session.next_packet()
    assert told
    assert told["data"][1] == {"ins_list": CODE}
    assert session.next_packet() is None


def test_a_query_comes_back_letter_for_letter(world: World) -> None:
    query = (
        f'query {{\n multi_symbol_info(instrument_id: ["{CODE}", "SHFE.cu9901"]) {{ price_tick }}}}'
    )
    asked = {"aid": "ins_query", "query_id": "q", "query": query}
    answer = merged(packets(session_over(world), asked))["symbols"]["q"]
    assert answer["query"] == query
    (node,) = answer["result"]["multi_symbol_info"]
    assert (node["instrument_id"], node["price_tick"], node["class"]) == (CODE, 10, "FUTURE")
    by_product = 'query { multi_symbol_info(class: [FUTURE], exchange_id: ["SHFE"], product_id: $p, expired: true) { x }}'
    asked = {"aid": "ins_query", "query_id": "q", "query": by_product, "variables": {"p": ["cu"]}}
    answer = merged(packets(session_over(world), asked))["symbols"]["q"]
    assert answer["variables"] == {"p": ["cu"]}
    codes = [node["instrument_id"] for node in answer["result"]["multi_symbol_info"]]
    assert codes == ["SHFE.cu2508", "SHFE.cu2509", "SHFE.cu2510", "SHFE.cu2511"]
    freed = packets(session_over(world), {"aid": "ins_query", "query_id": "q", "query": ""})
    assert freed == [[{"symbols": {"q": None}}, {}]]


def test_a_chart_by_stamp_is_not_clipped_and_comes_newest_block_first(world: World) -> None:
    market = Market(world, FaultPlan(CATALOGUE), world.end)
    series = market.series(CODE, 0)
    focus = nanoseconds(DAY, "09:00:00")
    width = 7000
    asked = chart(focus_datetime=focus, focus_position=10, view_width=width)
    found = packets(session_over(world), asked)
    left = series.locate(focus) - 10
    blocks = [
        set(map(int, d["ticks"][CODE]["data"]))
        for p in found
        for d in p
        if "data" in d.get("ticks", {}).get(CODE, {})
    ]
    assert all(series.last_id in block for block in blocks)
    assert all(len(block) <= ROWS_PER_PACKET + 1 for block in blocks)
    assert max(blocks[0]) > max(blocks[-1] - {series.last_id})
    whole = merged(found)
    assert whole["charts"]["c"] | {"state": 0} == {
        **{
            "left_id": left,
            "right_id": left + width - 1,
            "more_data": False,
            "ready": True,
            "state": 0,
        }
    }
    assert left + width - 1 > series.last_id
    assert set(map(int, whole["ticks"][CODE]["data"])) == set(range(left, series.last_id + 1))
    assert whole["mdhis_more_data"] is False


def test_a_key_that_a_later_request_drops_comes_back_as_null(world: World) -> None:
    session = session_over(world)
    first = chart(focus_datetime=nanoseconds(DAY), focus_position=0)
    assert merged(packets(session, first))["charts"]["c"]["state"] == first
    second = chart(left_kline_id=100)
    found = merged(packets(session, second))["charts"]["c"]
    assert found["state"] == {**second, "focus_datetime": None, "focus_position": None}
    assert (found["left_id"], found["right_id"]) == (100, 2099)
    assert packets(session, {**chart(), "ins_list": ""}) == [[{"charts": {"c": None}}, {}]]


def test_the_newest_rows_and_a_contract_without_any(world: World) -> None:
    newest = merged(packets(session_over(world), chart(view_width=3)))
    last = newest["ticks"][CODE]["last_id"]
    assert set(map(int, newest["ticks"][CODE]["data"])) == {last - 2, last - 1, last}
    nothing = merged(packets(session_over(world, f"empty:contract={CODE}"), chart()))
    assert nothing["ticks"][CODE] == {"last_id": -1}
    assert nothing["charts"]["c"]["ready"] is True
    never = merged(packets(session_over(world, "never-ready"), chart()))
    assert never["charts"]["c"]["ready"] is False


def test_a_moved_clock_tells_who_subscribed_what_is_new(world: World) -> None:
    """The same rows and quotes as who asks at the later time gets, and no row twice but a bar that grew."""
    market = Market(world, FaultPlan(CATALOGUE), world.end)
    main = market.main_table("SHFE.cu")[-1]
    before = world.previous(main[0])
    market.set_clock(datetime.combine(before, time(9, 30)))
    asked = [
        {"aid": "subscribe_quote", "ins_list": "KQ.m@SHFE.cu"},
        chart(view_width=50),
        chart(chart_id="d", duration=86_400 * 10**9, view_width=50),
        chart(chart_id="e", left_kline_id=10, view_width=5),
    ]
    session = Session(market)
    first = packets(session, *asked)
    told = set(merged(first)["ticks"][CODE]["data"])
    for clock in (
        datetime.combine(before, time(14)),
        datetime.combine(main[0], time(9, 30)),
        datetime.combine(world.days[world.days.index(main[0]) + 2], time(18)),
    ):
        market.set_clock(clock)
        session.queue_news()
        news = merged(found := packets(session))
        assert news["ticks"][CODE]["data"].keys().isdisjoint(told)
        told |= news["ticks"][CODE]["data"].keys()
        later = merged(packets(Session(market), *asked))
        whole = merged(first := first + found)
        assert whole["quotes"] == later["quotes"]
        assert whole["ticks"][CODE]["last_id"] == later["ticks"][CODE]["last_id"]
        for name in ("c", "d", "e"):
            for edge in ("left_id", "right_id"):
                assert whole["charts"][name][edge] == later["charts"][name][edge]
        # who came earlier keeps rows that have left the window since
        kept, asked_now = (
            (m["ticks"][CODE]["data"], m["klines"][CODE]["86400000000000"]["data"])
            for m in (whole, later)
        )
        for rows, rows_now in zip(kept, asked_now, strict=True):
            assert rows | rows_now == rows
        session.queue_news()
        assert packets(session) == []
    assert whole["quotes"]["KQ.m@SHFE.cu"]["underlying_symbol"] == main[1]
    market.set_clock(datetime.combine(before, time(9, 30)))
    session.queue_news()
    assert not merged(packets(session)).keys() & {"ticks", "klines"}
