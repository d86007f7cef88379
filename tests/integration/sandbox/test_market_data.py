"""What the wire of the futures servers promises, beyond what the client's library shows."""

import json
from datetime import date
from importlib.util import find_spec
from typing import Any

import httpx

from loaders.sandbox.tq.world import World
from tests.faults.scene import wait_until
from tests.requirements import require

DAY = date(2025, 11, 18)
PEEK = {"aid": "peek_message"}
TOKEN = "/auth/realms/shinnytech/protocol/openid-connect/token"


def test_a_small_packet_does_not_overtake_a_large_one() -> None:
    present = all(find_spec(name) is not None for name in ("tqsdk", "aiohttp"))
    require("tq", present, "the extra tq is not installed")
    from websockets.sync.client import connect

    from loaders.sandbox.tq.service import TqSandbox

    served = World(first=date(2025, 9, 1), end=date(2025, 12, 12), ticks_per_day=60)
    with TqSandbox(served, clock=f"{DAY}T09:30:00") as sandbox:
        given = sandbox.settings()
        form = {name: given[name] for name in ("account", "password")}
        form |= {"grant_type": "password", "username": given["account"]}
        token = httpx.post(sandbox.url + TOKEN, data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        with connect(given["md_url"], additional_headers=headers) as client:

            def ask(**message: Any) -> None:
                client.send(json.dumps(message))

            def receive() -> dict[str, Any]:
                packet = json.loads(client.recv(timeout=30))["data"]
                merged: dict[str, Any] = {}
                for diff in packet:
                    merged |= diff
                return merged

            client.recv(timeout=30)  # the greeting
            contract = dict(sandbox.schedule("SHFE.cu"))[DAY]
            chart = {"chart_id": "c", "ins_list": contract, "duration": 0, "view_width": 100}
            ask(aid="set_chart", **chart)
            ask(**PEEK)
            while not receive().get("charts", {}).get("c", {}).get("ready"):
                ask(**PEEK)
            ask(**PEEK)
            ask(aid="last")
            wait_until("the peek", lambda: '"last"' in sandbox.log[-1].detail)
            sandbox.faults.add("slow:seconds=0.5:times=1")  # as a large one that is compressed
            sandbox.set_clock(f"{DAY}T15:00:00")
            wait_until("the large packet", lambda: sandbox.faults.struck["slow"])
            ask(**PEEK)
            first, second = receive(), receive()
        assert len(first["ticks"][contract]["data"]) > 1
        assert "last_id" not in first["ticks"][contract]
        assert second["ticks"][contract]["last_id"] > 0
