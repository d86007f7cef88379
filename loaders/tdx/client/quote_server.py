"""A connection to a TDX quote server, which speaks a binary protocol over TCP.

An answer has a head of 16 bytes, whose last two numbers are the bytes that follow and their size
unpacked: where the two differ they are packed by zlib. The body of an xdxr answer: 9 bytes, u16
number of events, then 29 bytes for each: u8 exchange, 6 bytes code, a byte, u32 date YYYYMMDD, u8
category, four single floats whose meaning the category decides.
"""

import contextlib
import socket
import struct
import zlib
from typing import NamedTuple

# public ones, which come and go; all of these answered on 2024-11-30
_HOSTS = """
124.71.187.122 122.51.120.217 111.229.247.189 124.70.176.52 123.60.186.45 122.51.232.182
118.25.98.114 124.70.199.56 121.36.225.169 123.60.70.228 123.60.73.44 124.70.133.119
124.71.187.72 123.60.84.66 121.36.54.217 121.36.81.195 123.249.15.60 124.70.75.113
120.46.186.223 124.70.22.210 139.9.133.247 124.71.85.110 139.9.51.18 139.159.239.163
124.71.9.153 116.205.163.254 116.205.171.132 116.205.183.150 111.230.186.52 110.41.4.4
110.41.2.72 110.41.154.219 110.41.147.114 119.97.185.59
"""
ADDRESSES = [(host, 7709) for host in _HOSTS.split()]

# what a client says when it comes, and before the exchange and the code of an xdxr request
_GREETINGS = (
    "0c0218930001030003000d0001",
    "0c0218940001030003000d0002",
    "0c031899000120002000db0fd5d0c9ccd6a4a8af0000008fc22540130000d500c9ccbdf0d7ea00000002",
)
_XDXR = bytes.fromhex("0c1f187600010b000b000f000100")
_HEAD = struct.Struct("<12xHH")
_EVENT = struct.Struct("<7xxIB4f")
_COUNT = struct.Struct("<9xH")


class Event(NamedTuple):
    """One record of an answer.

    day: YYYYMMDD, as sent
    values: four numbers; docs/datasets/capital_events.md has their meaning by category
    """

    day: int
    category: int
    values: tuple[float, ...]


class QuoteServer:
    """One connection. Its calls raise OSError, and ValueError for a strange answer."""

    def __init__(self, address: tuple[str, int], *, timeout: float) -> None:
        """timeout: seconds for the connection and for each piece of an answer"""
        self._socket = socket.create_connection(address, timeout=timeout)

    def greet(self) -> None:
        """Say what a server expects before the first request."""
        for greeting in _GREETINGS:
            self._ask(bytes.fromhex(greeting))

    def request_xdxr(self, exchange: int, digits: str) -> list[Event]:
        """The events of a code."""
        return read_events(self._ask(_XDXR + bytes([exchange]) + digits.encode()))

    def close(self) -> None:
        """End the connection, and the wait of a thread for its answer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _ask(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        sent, unpacked = _HEAD.unpack(self._receive(_HEAD.size))
        body = self._receive(sent)
        if sent == unpacked:
            return body
        try:
            return zlib.decompressobj().decompress(body, unpacked)
        except zlib.error as error:
            raise ValueError(str(error)) from error

    def _receive(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("the quote server ended the connection")
            parts += part
        return bytes(parts)


def read_events(body: bytes) -> list[Event]:
    """The events in the body of an xdxr answer. Raises ValueError for a body that is cut short."""
    if len(body) < _COUNT.size:
        return []
    (count,) = _COUNT.unpack_from(body)
    end = _COUNT.size + count * _EVENT.size
    if len(body) < end:
        raise ValueError(f"{count} events announced in an answer of {len(body)} bytes")
    return [
        Event(day, category, tuple(values))
        for day, category, *values in _EVENT.iter_unpack(body[_COUNT.size : end])
    ]
