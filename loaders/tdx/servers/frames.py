"""One kept connection to a TDX quote server, and the frames around its requests and answers.

A request has a head of twelve bytes: 0x0C, its number (u32), 1, its size twice, its command. The
head of an answer has 16: four fixed ones, a flag, the number, a byte, the command, then the size of
what follows as sent and unpacked (u16 each): if they differ it is packed by zlib.

A server is greeted by the first of the three packets of old clients: since July 2026 servers answer
a client that sends the third with two bytes, whatever it asks for. So a server counts as good only
after it gave the newest day bar of a known code.
"""

import asyncio
import struct
import zlib
from contextlib import AbstractAsyncContextManager
from typing import Self

from loaders.tdx.servers import codec
from loaders.tdx.servers.codec import WrongAnswer

Address = tuple[str, int]

KNOWN = "sh600000"
_REQUEST, _ANSWER = struct.Struct("<BIBHHH"), struct.Struct("<4sxIxHHH")
_FIXED = bytes.fromhex("b1cb7400")


class Server:
    """A greeted server. Its calls raise OSError and WrongAnswer; after either it is of no use."""

    def __init__(
        self,
        address: Address,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        rate: AbstractAsyncContextManager[None],
        timeout: float,
    ) -> None:
        self.address = address
        self._reader, self._writer = streams
        self._rate, self._timeout, self._number = rate, timeout, 0

    @classmethod
    async def open(
        cls, address: Address, rate: AbstractAsyncContextManager[None], timeout: float
    ) -> Self:
        """Connect, greet, and test by a known code.

        rate: entered before each request
        timeout: seconds for the connection and for each answer
        """
        async with asyncio.timeout(timeout):
            streams = await asyncio.open_connection(*address)
        server = cls(address, streams, rate, timeout)
        try:
            await server.ask(codec.GREETING, b"\1")
            body = await server.ask(codec.BARS, codec.ask_bars(KNOWN, "day", 0, 1))
            if not codec.read_bars(body, "day", is_index=False).times:
                raise WrongAnswer(f"no bar for {KNOWN}")
        except BaseException:
            server.close()
            raise
        return server

    async def ask(self, command: int, body: bytes) -> bytes:
        """The body of the answer to one request."""
        async with self._rate:
            self._number += 1
        size = len(body) + 2
        head = _REQUEST.pack(0x0C, self._number, 1, size, size, command)
        try:
            async with asyncio.timeout(self._timeout):
                self._writer.write(head + body)
                await self._writer.drain()
                answer = await self._reader.readexactly(_ANSWER.size)
                fixed, number, answered, sent, unpacked = _ANSWER.unpack(answer)
                if (fixed, number, answered) != (_FIXED, self._number, command):
                    raise WrongAnswer(f"response to another request than {command:#06x}")
                content = await self._reader.readexactly(sent)
        except asyncio.IncompleteReadError:
            raise ConnectionError("the server closed the connection") from None
        except TimeoutError:
            raise TimeoutError(f"no response within {self._timeout:g} s") from None
        return content if sent == unpacked else unpack(content, unpacked)

    def close(self) -> None:
        self._writer.close()


def unpack(content: bytes, size: int) -> bytes:
    """Unpack an answer that must have `size` bytes; never more are held."""
    unpacking = zlib.decompressobj()
    try:
        body = unpacking.decompress(content, size + 1)
    except zlib.error as error:
        raise WrongAnswer(f"a response that cannot be unpacked ({error})") from None
    if len(body) != size or not unpacking.eof or unpacking.unused_data:
        raise WrongAnswer(f"a response that does not unpack to {size} bytes")
    return body
