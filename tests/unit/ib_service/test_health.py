"""What a gateway says of its servers: which of them are ours, and when all are back."""

import asyncio

from loaders.ib.service.health import Health


def heard(*said: tuple[int, str]) -> bool:
    async def run() -> bool:
        health = Health()
        for code, text in said:
            health.hear(code, text)
        assert health.is_good is await health.wait(0)
        return health.is_good

    return asyncio.run(run())


BROKEN = "Market data farm connection is broken:usopt"
BACK = "Market data farm connection is OK:usopt"


def test_servers_are_lost_and_found() -> None:
    assert heard()
    assert not heard((1100, "lost"))
    assert heard((1100, "lost"), (1102, "maintained"))
    assert heard((1100, "lost"), (1101, "data lost"))
    assert not heard((1100, "lost"), (2104, BACK))


def test_a_farm_is_back_under_its_own_name_and_those_of_other_markets_do_not_count() -> None:
    assert not heard((2103, BROKEN))
    assert heard((2103, BROKEN), (2104, BACK))
    assert not heard((2103, BROKEN), (2104, BACK.replace("usopt", "usfarm")))
    assert heard((2103, BROKEN), (2108, "inactive but should be available upon demand.usopt:usopt"))
    assert heard((2103, BROKEN.replace("usopt", "eurofarm")))
    assert not heard((2103, BROKEN), (1100, "lost"), (1102, "maintained"))
    assert heard((200, "No security definition has been found:usopt"))
