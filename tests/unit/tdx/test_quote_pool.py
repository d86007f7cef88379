"""Quote servers that restart: waited for in growing steps, then given up."""

import asyncio
from typing import Any

import pytest
from fake_tdx import JumpingLoop

from loaders.cli import shell
from loaders.engine.outcome import SourceGone
from loaders.tdx.servers import pool
from loaders.tdx.servers.codec import WrongAnswer
from loaders.tdx.servers.pool import Pool
from loaders.tdx.settings import TdxSettings

ONE, TWO = "127.0.0.1:7709", "127.0.0.1:7710"


class Restarting:
    """Servers that end all connections after the first answer, and are away until some second."""

    def __init__(self, until: float) -> None:
        self.until, self.opened = until, list[float]()

    async def open(self, address: pool.Address, *_: object) -> Any:
        self.opened.append(now := asyncio.get_running_loop().time())
        if len(self.opened) > 1 and now < self.until:
            raise ConnectionRefusedError(111, "Connection refused")
        return self

    address, asked = ("127.0.0.1", 7709), 0

    async def answer(self) -> int:
        self.asked += 1
        if self.asked == 2:
            raise ConnectionError("the server ended the connection")
        return self.asked

    def close(self) -> None: ...


async def answer(server: Any) -> Any:
    return await server.answer()


def use(servers: Restarting, *named: str, times: int = 2) -> list[Any]:
    async def ask() -> list[Any]:
        async with Pool(TdxSettings(servers=list(named))) as opened:
            first = [await opened.use("bars", answer)]
            rest = (opened.use("bars", answer) for _ in range(times - 1))
            return first + await asyncio.gather(*rest, return_exceptions=True)

    with (
        pytest.MonkeyPatch.context() as patched,
        asyncio.Runner(loop_factory=JumpingLoop) as runner,
    ):
        patched.setattr(pool, "Server", servers)
        return runner.run(ask())


def test_a_single_server_that_restarts_is_waited_for() -> None:
    servers = Restarting(until=25)
    assert use(servers, ONE) == [1, 3]
    _, again, second, third = servers.opened
    assert 10 <= second - again <= 20 <= third - second <= 30


def test_a_server_that_stays_away_ends_the_load_after_the_retries() -> None:
    said: list[str] = []
    shell.route_logs(said.append)
    servers = Restarting(until=1e9)
    results = use(servers, ONE, times=6)
    assert [type(result) for result in results[1:]] == [SourceGone] * 5
    assert 60 <= servers.opened[-1] <= 81
    assert len(said) == 1


def test_another_server_is_asked_without_a_pause() -> None:
    servers = Restarting(until=0)
    assert use(servers, ONE, TWO) == [1, 3]
    assert servers.opened[-1] < 1


def test_a_server_that_never_was_good_is_not_waited_for() -> None:
    class Barless(Restarting):
        async def open(self, address: pool.Address, *_: object) -> Any:
            self.opened.append(asyncio.get_running_loop().time())
            raise WrongAnswer("no bar of sh600000")

    servers = Barless(until=0)
    with pytest.raises(SourceGone):
        use(servers, ONE, TWO)
    assert (len(servers.opened), servers.opened[-1] < 1) == (2, True)
