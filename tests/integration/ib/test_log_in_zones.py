"""A day of a gateway whose log-in has another time zone than New York."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ib.bench import bench

ZONES = ("America/New_York", "Europe/Zurich", "Asia/Shanghai")
TABLES = (
    "contract",
    "session_contract",
    "negative_contract",
    "rejected_row",
    "chain_snapshot",
    "chain_close",
    "slot_run",
    "open_interest",
    "gateway_event",
)
NEAREST = (
    "select trading_class, count(*)::int from raw_ib.contract "
    "where expiry between '2026-12-17' and '2026-12-18' group by 1 order by 1"
)


@pytest.mark.soak
def test_a_day_lands_the_same_rows_in_every_zone(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    days: list[dict[str, Any]] = []
    for zone in ZONES:
        with bench(
            new_database(),
            tmp_path / zone.replace("/", "-"),
            symbols=["AAPL", "SPX"],
            clock="2026-12-10T09:25:00",
            zone=zone,
            max_strikes_per_expiry=4,
            universe=_write_universe(tmp_path),
        ) as made:
            results = [made.load("discover")]
            results.append(made.at("2026-12-10T10:00:05").load("snapshot", slot="now"))
            results.append(made.at("2026-12-10T17:00:00").load("close"))
            results.append(made.at("2026-12-11T07:30:00").load("enrich"))
            assert [result.exit_code for result in results] == [0] * 4
            assert made.rows(NEAREST) == [("2AAPL", 6), ("AAPL", 8), ("SPX", 8), ("SPXW", 8)]
            days.append({name: made.table(name) for name in TABLES})
    assert days[0]["chain_snapshot"]
    assert days[1:] == days[:1] * 2


def _write_universe(folder: Path) -> Path:
    file = folder / "universe.csv"
    file.write_text("symbol,weight,group,enabled,sec_type\nAAPL,9,A,true,\nSPX,8,A,true,IND\n")
    return file
