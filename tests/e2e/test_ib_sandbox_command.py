"""`loaders sandbox ib` as a process: its output, its clients and its control port."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.commands import printed_sandbox

SOCKETS = Path("/proc/net/tcp")


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, str]]:
    options = ("--symbols", "AAPL,ACME", "--synthetic", "1", "--clock", "2026-11-19T10:00:00")
    with printed_sandbox("ib", 3, *options, "--fault", "latency:seconds=0") as (_, printed):
        yield printed


def frame(*fields: object) -> bytes:
    body = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


class Wire:
    """A client of the bare protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.sendall(b"API\0" + struct.pack(">I", 9) + b"v157..176")

    def send(self, *fields: object) -> None:
        self._socket.sendall(frame(*fields))

    def read(self) -> list[str]:
        size = struct.unpack(">I", self._exactly(4))[0]
        return self._exactly(size).decode().split("\0")[:-1]

    def _exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            more = self._socket.recv(size - len(received))
            if not more:
                raise ConnectionError("the sandbox hung up")
            received += more
        return received

    def close(self) -> None:
        self._socket.close()


def test_the_sandbox_prints_what_the_loader_needs(running: dict[str, str]) -> None:
    assert "clock=2026-11-19T10:00:00-05:00" in running["line"]
    assert "stocks=3" in running["line"]
    assert (running["HOST"], running["CLOCK"]) == ("127.0.0.1", "gateway")


@pytest.mark.skipif(not SOCKETS.exists(), reason="the machine does not list its sockets there")
def test_the_sandbox_listens_on_the_loopback_alone(running: dict[str, str]) -> None:
    rows = [line.split() for line in SOCKETS.read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A"}
    for port in (int(running["PORT"]), int(running["control"].rpartition(":")[2])):
        assert {at for at in listening if at.endswith(f":{port:04X}")} == {f"0100007F:{port:04X}"}


def test_a_client_id_connects_once_and_orders_are_refused(running: dict[str, str]) -> None:
    first = Wire(int(running["PORT"]))
    assert first.read()[0] == "176"
    first.send(71, 2, 101, "")
    assert [first.read()[0] for _ in range(5)] == ["15", "9", "4", "4", "4"]
    second = Wire(int(running["PORT"]))
    assert second.read()[0] == "176"
    second.send(71, 2, 101, "")
    assert second.read()[3] == "326"
    with pytest.raises(ConnectionError):
        second.read()
    first.send(3, 7)
    refused = first.read()
    assert (refused[2], refused[3]) == ("7", "321")
    first.send(49, 1)
    assert first.read() == ["49", "1", "1795100400"]
    first.send(4711)
    assert first.read()[3] == "322"
    first.close()


def test_the_control_port_sends_notices_and_drops_clients(running: dict[str, str]) -> None:
    client = Wire(int(running["PORT"]))
    client.read()
    client.send(71, 2, 102, "")
    for _ in range(5):
        client.read()
    with httpx.Client(base_url=running["control"], trust_env=False) as control:
        state = control.get("/state").json()
        assert (state["faults"], state["clients"]) == (["latency:seconds=0"], [102])
        control.post("/clock", json={"clock": "2026-11-19T15:30:00"})
        client.send(49, 1)
        assert client.read() == ["49", "1", "1795120200"]
        control.post("/notice", json={"code": 1100})
        assert client.read()[3] == "1100"
        control.post("/drop")
        with pytest.raises(ConnectionError):
            client.read()
