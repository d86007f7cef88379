"""Ticks by `import quotemill`."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import quotemill
from quotemill.ticks.columns import DayKey
from tests.integration.ticks.servers import open_at, url_of
from tests.integration.ticks.test_stores import indexed
from tests.ticks import KEY, day_of_ticks, write_day

LATER = DayKey(KEY.symbol, "SHFE.cu2602", date(2025, 11, 17))


def test_ticks_of_a_variety_come_day_by_day(
    new_database: Callable[[], str],
    empty_questdb: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    dsn, home, store = new_database(), empty_questdb.parent, open_at(empty_questdb)
    with (
        quotemill.open(url=dsn, home=tmp_path) as market,
        pytest.raises(quotemill.Error, match=r"SHFE\.cu"),
    ):
        market.futures_ticks("SHFE.cu")
    # the address of a home's server is a command's answer, here asked for once
    with quotemill.open(url=dsn, home=home) as market, pytest.raises(quotemill.Error):
        market.futures_ticks("SHFE.cu")
    monkeypatch.setenv("QUOTEMILL_QUESTDB_URL", url_of(empty_questdb))
    with quotemill.open(url=dsn, home=home) as market:
        with pytest.raises(quotemill.Error, match=r"SHFE\.cu"):
            market.futures_ticks("SHFE.cu")
        store.prepare()
        days = [day_of_ticks(40, key, seed=seed) for seed, key in enumerate((KEY, LATER))]
        for key, day in zip((KEY, LATER), days, strict=True):
            store.put_index([indexed(key, write_day(store, day))])

        ticks = market.futures_ticks("shfe.cu", columns=["ts", "last_price", "trading_day"])
        assert [len(ticks), ticks.schema.names] == [80, ["ts", "last_price", "trading_day"]]
        prices = [price for day in days for price in day["last_price"].to_pylist()]
        assert ticks.to_arrow()["last_price"].to_pylist() == prices
        batches = market.futures_ticks("SHFE.cu", start=LATER.trading_day, batches=True)
        assert {batch["underlying_contract"][0].as_py() for batch in batches} == {LATER.contract}
        times = market.futures_ticks("SHFE.cu").to_arrow()["ts"].to_pylist()
        naive = times[5].astimezone(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
        for start, end in ((times[5], times[49]), (str(naive), times[49].isoformat())):
            some = market.futures_ticks("SHFE.cu", start, end).to_arrow()["ts"].to_pylist()
            assert some == [at for at in times if times[5] <= at <= times[49]]
        for call, says in (
            ({"variety": "SHFE.au"}, "no ticks for SHFE.au"),
            ({"variety": "SHFE.cu", "columns": ["price"]}, "column price is unknown"),
        ):
            with pytest.raises(quotemill.Error, match=says):
                market.futures_ticks(**call)
        seen = store.measure(*KEY)
        store.supersede(*KEY)
        store.put_index([indexed(KEY, seen)])
        lost = market.futures_ticks("SHFE.cu", batches=True)
        with pytest.raises(quotemill.Error, match=r"no ticks of SHFE.cu2601 on 2025-11-14, which"):
            next(lost)
        store.close()
