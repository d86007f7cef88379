"""What a gateway says of its servers: which of them are ours, and when all are back."""

import asyncio

from loaders.ib.client.health import FARM_BROKEN, Farm, Health


def heard(*said: tuple[int, str], farm: Farm = "quotes") -> bool:
    async def run() -> bool:
        health = Health()
        for code, text in said:
            health.hear(code, text)
        assert health.is_good(farm) is await health.wait(0, farm)
        return health.is_good(farm)

    return asyncio.run(run())


BROKEN = "Market data farm connection is broken:usopt"
BACK = "Market data farm connection is OK:usopt"


def test_servers_are_lost_and_found() -> None:
    assert heard()
    assert not heard((1100, "lost"))
    assert heard((1100, "lost"), (1102, "maintained"))
    assert heard((1100, "lost"), (1101, "data lost"))
    assert not heard((1100, "lost"), (2104, BACK))
    assert not heard((2110, "broken. It will be restored automatically."))
    assert heard((2110, "broken"), (1102, "maintained"))


def test_a_farm_is_back_under_its_own_name_and_those_of_other_markets_do_not_count() -> None:
    assert not heard((2103, BROKEN))
    assert heard((2103, BROKEN), (2104, BACK))
    assert not heard((2103, BROKEN), (2104, BACK.replace("usopt", "usfarm")))
    assert heard((2103, BROKEN), (2108, "inactive but should be available upon demand.usopt:usopt"))
    assert heard((2103, BROKEN.replace("usopt", "eurofarm")))
    demand = "farm connection is inactive but should be available upon demand."
    assert heard((2103, BROKEN), (2108, f"Market data {demand}usopt"))
    assert heard((2103, f"{BROKEN}.nj"), (2108, f"Market data {demand}usopt.nj"))
    assert not heard((2103, BROKEN), (2108, f"Market data {demand}usfarm.nj"))
    hmds = "HMDS data farm connection is broken:ushmds"
    assert heard((2105, hmds), (2107, f"HMDS data {demand}ushmds"), farm="history")
    secdef = "Sec-def data farm connection is broken:secdefnj"
    assert heard((2157, secdef), (2158, "… is OK:secdefil"), farm="contracts")
    assert heard((2103, BROKEN.replace("usopt", "usfuture")))
    assert not heard((2103, BROKEN), (1100, "lost"), (1102, "maintained"))
    listed = "restored - data maintained. All data farms are connected: usfarm.nj; usopt; secdefil."
    assert heard((2103, BROKEN), (1100, "lost"), (1102, listed))
    assert heard((2103, BROKEN.replace("usopt", "usfarm.nj")), (1102, listed))
    some = "restored. Farms are connected: usfarm; Farms are not connected: ushmds; usopt."
    assert not heard((2103, BROKEN), (1102, some))
    assert heard((2103, BROKEN.replace("usopt", "usfarm")), (1102, some))
    assert heard((200, "No security definition has been found:usopt"))


def test_only_the_farm_that_a_question_needs_holds_it_up() -> None:
    farms: tuple[Farm, ...] = ("quotes", "history", "contracts")
    for code, broken in FARM_BROKEN.items():
        said = code, "connection is broken:usfarm"
        assert [farm for farm in farms if not heard(said, farm=farm)] == [broken]
    for code in (1100, 2110):
        assert not any(heard((code, "lost"), farm=farm) for farm in farms)


def test_who_waits_goes_on_with_the_farm_and_not_with_another() -> None:
    async def waited() -> bool:
        health = Health()
        health.hear(2103, BROKEN)
        waiting = asyncio.ensure_future(health.wait(30, "quotes"))
        await asyncio.sleep(0)
        health.hear(2105, "broken:ushmds")
        await asyncio.sleep(0)
        assert not waiting.done()
        health.hear(2104, BACK)
        return await waiting

    assert asyncio.run(waited())
