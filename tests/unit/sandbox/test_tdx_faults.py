"""Every fault strikes every route that it can hit, and leaves an answer that can be sent."""

import json

import pytest

from loaders.sandbox.faults import FaultPlan
from loaders.sandbox.tdx.calls import Options, ServiceState
from loaders.sandbox.tdx.faults import CATALOGUE, DATA_FAULTS, KINDS, PACKAGES, ROUTES
from loaders.sandbox.tdx.routes import answer
from loaders.sandbox.tdx.wire import Request
from loaders.sandbox.world.market import SyntheticMarket

CODE = "sh600000"
DAY = "20250626"
WORLD = SyntheticMarket(codes=12, days=60)
ASKED: dict[str, dict[str, str]] = {
    "index": {"code": "sh000001"},
    "index/all": {"code": "sh000001"},
    "trade-history/full": {"code": CODE, "start_date": "20250625", "end_date": DAY},
    "search": {"keyword": "6000"},
    "workday/range": {"start": "20250601", "end": "20250630"},
    "income": {"code": CODE, "start_date": "20250601"},
}
POSTED = {
    "batch-quote": {"codes": [CODE, "sz000001"]},
    "tasks/pull-kline": {"codes": [CODE]},
    "tasks/pull-trade": {"code": CODE},
}
# options that leave out the waiting
HARMLESS = {"latency": ":seconds=0", "codes-vanish": f":code={CODE}", "rate-limit": ":per_second=0"}


def request(route: str) -> Request:
    if route in POSTED:
        return Request("POST", f"/api/{route}", {}, json.dumps(POSTED[route]).encode())
    if route in PACKAGES:
        name = f"g4day/{DAY.replace('-', '')}.zip" if route == "g4day" else "dbf/gbbq.zip"
        return Request("GET", f"/products/data/data/{name}", {}, b"")
    given = ASKED.get(route) or {"code": CODE, "date": DAY}
    return Request("GET", "/api/" + route.replace("{id}", "none"), dict(given))


def state() -> ServiceState:
    return ServiceState(WORLD, WORLD.end, FaultPlan(CATALOGUE), Options(timeout_delay=0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_strikes_all_its_routes(kind: str) -> None:
    service = state()
    for route in KINDS[kind].routes or ROUTES:
        service.faults.clear()
        service.faults.add(f"{kind}:{route}{HARMLESS.get(kind, '')}")
        reply = answer(service, request(route))
        struck = service.log[-1].faults
        assert len(struck) == 1, route
        assert struck[0].startswith(kind + ":")
        assert reply is not None


@pytest.mark.parametrize("kind", [k for k in DATA_FAULTS if KINDS[k].routes])
def test_a_fault_of_rows_changes_the_answer_of_each_of_its_routes(kind: str) -> None:
    service = state()
    options = {"short": ":keep=3", "duplicate": ":page=20", "duplicate-page": ":page=20"}
    for route in KINDS[kind].routes:
        query = request(route)
        if kind == "noon-label":
            query.params.update({"type": "minute1", "limit": "700"})
        service.faults.clear()
        whole = answer(service, query).body
        service.faults.add(f"{kind}:{route}{options.get(kind, '')}")
        assert answer(service, query).body != whole, route


@pytest.mark.parametrize("kind", ["high-below-low", "value"])
def test_a_row_beyond_a_short_answer_damages_nothing(kind: str) -> None:
    service, query = state(), request("kline-all")
    query.params["limit"] = "3"
    whole = answer(service, query).body
    service.faults.add(f"{kind}:row=5")
    assert answer(service, query).body == whole
