"""What the wire of the futures servers promises, beyond what the client's library shows."""

import json
from datetime import date
from typing import Any

import httpx

from loaders.sandbox.tq.world import World
from tests.faults.scene import wait_until

DAY = date(2025, 11, 18)
PEEK = {"aid": "peek_message"}


def test_a_small_packet_does_not_overtake_a_large_one(world: World) -> None:
    from websockets.sync.client import connect

    from loaders.sandbox.tq.service import REALM, TqSandbox

    with TqSandbox(world, clock=f"{DAY}T09:30:00") as sandbox:
        given = sandbox.settings()
        form = {name: given[name] for name in ("account", "password")}
        form |= {"grant_type": "password", "username": given["account"]}
        address = f"{sandbox.url}{REALM}/protocol/openid-connect/token"
        token = httpx.post(address, data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        with connect(
            f"ws{sandbox.url.removeprefix('http')}/md", additional_headers=headers
        ) as client:

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
