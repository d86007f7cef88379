"""Symbols of which the gateway answers nothing cost those after them one session, not each."""

from collections.abc import Callable
from pathlib import Path

from tests.integration.ib.bench import bench, write_universe

SETS = (
    "select symbol, policy from raw_ib.session_contract "
    "where trade_date = %s group by 1, 2 order by 1"
)


def test_symbols_that_hang_are_requested_last_the_next_time(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    names = ("AAPL", "MSFT", "SPY", "DIS", "AMZN")
    own = write_universe(tmp_path, names)
    home = tmp_path / "home"
    with bench(new_database(), home, symbols=names, universe=own, stage=2, timeout=1.0) as made:
        for name in names[:3]:
            made.sandbox.faults.add(f"secdef-hang:symbol={name}")
        assert made.load("discover").exit_code == 4
        assert made.rows(SETS, "2026-11-19") == []
        assert made.at("2026-11-20T09:25:00").load("discover").exit_code == 4
        assert made.rows(SETS, "2026-11-20") == [
            ("AMZN", "session_freeze"),
            ("DIS", "session_freeze"),
        ]
