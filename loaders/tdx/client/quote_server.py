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

# public ones, which come and go; two clients that are maintained name the same in November 2026
_HOSTS = """
43.139.18.171 43.139.95.83 49.232.15.141 62.234.50.143 81.70.151.186 81.71.32.47 82.156.174.84
82.156.214.79 101.33.225.16 101.35.121.35 101.42.164.241 101.42.240.54 101.43.159.194 110.41.2.72
110.41.147.114 111.229.247.189 111.230.186.52 111.231.113.208 116.205.163.254 116.205.171.132
116.205.183.150 118.25.98.114 119.97.185.59 120.53.8.251 121.36.225.169 122.51.120.217
122.51.232.182 123.60.70.228 123.60.73.44 123.60.84.66 123.60.164.122 124.70.133.119 124.70.199.56
124.71.9.153 124.71.187.72 124.71.187.122 124.223.163.242 129.204.230.128 150.158.160.2
152.136.191.169 159.75.29.111 175.178.112.197 175.178.128.227
"""
ADDRESSES = [(host, 7709) for host in _HOSTS.split()]

# the first of three packets of old clients; since 2026 servers refuse those that send the third
_GREETING = bytes.fromhex("0c0218930001030003000d0001")
# what comes before the exchange and the code of an xdxr request
_XDXR = bytes.fromhex("0c1f187600010b000b000f000100")
# the newest day bar of sh600000
_KNOWN_BAR = bytes.fromhex(
    "0c01086401011c001c002d050100363030303030090001000000010000000000000000000000"
)
_HEAD = struct.Struct("<12xHH")
_EVENT = struct.Struct("<7xxIB4f")
_COUNT = struct.Struct("<9xH")
_ONE_BAR = 18  # bytes: u16 number of bars, u32 day, four prices of at least a byte, two floats


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
        """Say what a server expects before the first request, and test it with a known code."""
        self._ask(_GREETING)
        bars = self._ask(_KNOWN_BAR)
        if len(bars) < _ONE_BAR or not any(bars[:2]):
            raise ValueError(f"no bar of sh600000 in an answer of {len(bars)} bytes")

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
    """The events in the body of an xdxr answer. Raises ValueError for a body that is cut short.

    One without its count is a refusal: of a code without events the count is 0.
    """
    if len(body) < _COUNT.size:
        raise ValueError(f"an answer of {len(body)} bytes has no count of events")
    (count,) = _COUNT.unpack_from(body)
    end = _COUNT.size + count * _EVENT.size
    if len(body) < end:
        raise ValueError(f"{count} events announced in an answer of {len(body)} bytes")
    return [
        Event(day, category, tuple(values))
        for day, category, *values in _EVENT.iter_unpack(body[_COUNT.size : end])
    ]
