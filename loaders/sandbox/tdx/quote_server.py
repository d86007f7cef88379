"""A TDX quote server on loopback in four tempers, for a market or with given corporate actions.

It speaks the frames of a real one: a request has a head of ten bytes, an answer one of sixteen, and
is packed by zlib if it is long.
"""

import asyncio
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from loaders.sandbox.server.loop_thread import LoopThread
from loaders.sandbox.tdx.quote_answers import BARS, GREETING, HEARTBEAT, LOGIN, XDXR, Answer
from loaders.sandbox.tdx.quote_wire import REFUSAL, counted, frame

Address = tuple[str, int]
Answers = Mapping[tuple[int, bytes], bytes | None]
Answering = Callable[[bytes], Answer]

NO_EVENTS = b"\0" * 11
_REQUEST = struct.Struct("<BIBHH")
_BAR = struct.pack("<HI5B2f", 1, 20260716, 0xA0, 1, 0, 0, 0, 1000.0, 1e6)
_KNOWN = (1, b"600000")


class Temper(Enum):
    """How a server treats its clients.

    PUNISHING: refuses a client that sends the third packet of old ones everything but a greeting
    MUTE: accepts connections and never answers
    BARLESS: refuses everybody bars
    """

    GOOD = "good"
    PUNISHING = "punishing"
    MUTE = "mute"
    BARLESS = "barless"


@dataclass(eq=False)
class QuoteServer:
    """Runs from entering to leaving the context; `answer` is given a command and its parameters.

    heard: called at each connection
    came: the connections so far
    commands: of all requests, in order
    """

    answer: Answering
    temper: Temper = Temper.GOOD
    heard: Callable[[], object] = lambda: None
    address: Address = ("127.0.0.1", 0)
    came: int = 0
    commands: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._writers = set[asyncio.StreamWriter]()
        self._thread = LoopThread("quote-server", self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    async def _serve(self) -> None:
        await self._open()
        await self._thread.wait_until_stopped()
        self._close()

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._converse, *self.address)
        self.address = self._listener.sockets[0].getsockname()

    def _close(self) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self._writers.add(writer)
        self.heard()
        is_refused, answer = False, Answer()
        # the end of the server cancels
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while answer.part == 1:
                _, message, _, size, _ = _REQUEST.unpack(await reader.readexactly(_REQUEST.size))
                request = await reader.readexactly(size)
                (command,) = struct.unpack_from("<H", request)
                self.commands.append(command)
                is_refused |= self.temper is Temper.PUNISHING and command == LOGIN
                answer = self._answer(command, request, is_refused=is_refused)
                await asyncio.sleep(answer.delay)
                if answer.body is not None:
                    sent = frame(request, message, answer.body, surplus=answer.surplus)
                    writer.write(sent[: int(len(sent) * answer.part)])
                    await writer.drain()
            if answer.closed_for is not None:
                self._close()
                await asyncio.sleep(answer.closed_for)
                await self._open()
        self._writers.discard(writer)
        writer.close()

    def _answer(self, command: int, request: bytes, *, is_refused: bool) -> Answer:
        if self.temper is Temper.MUTE:
            return Answer()
        is_barless = self.temper is Temper.BARLESS and command == BARS
        if is_barless or (is_refused and command not in (GREETING, HEARTBEAT, LOGIN)):
            return Answer(REFUSAL)
        return self.answer(request)


@contextmanager
def serve_quotes(
    answers: Answers | None = None,
    temper: Temper = Temper.GOOD,
    *,
    heard: Callable[[], object] = lambda: None,
) -> Iterator[QuoteServer]:
    """Run a server that knows a bar of sh600000 and the given corporate actions.

    answers: bodies of xdxr answers by exchange and digits; None breaks the connection
    heard: called at each connection
    """

    def answer(request: bytes) -> Answer:
        (command,) = struct.unpack_from("<H", request)
        if command == BARS:
            known = struct.unpack_from("<2xH6s", request) == _KNOWN
            return Answer(_BAR if known else counted([]))
        if command != XDXR:
            return Answer(bytes(8))
        parts = []
        for exchange, digits in struct.iter_unpack("<B6s", request[4:]):
            body = (answers or {}).get((exchange, digits), NO_EVENTS)
            if body is None:
                return Answer(b"", part=0.0)
            parts.append(struct.pack("<B6s", exchange, digits) + body[9:])
        return Answer(counted(parts))

    with QuoteServer(answer, temper, heard) as server:
        yield server
