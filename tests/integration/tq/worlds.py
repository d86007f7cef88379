"""The market that most tests of futures load: copper for seven days with a roll among them."""

from datetime import date

from loaders.sandbox.tq.world import World

SERIES = "KQ.m@SHFE.cu"
FIRST, END, NEXT = date(2025, 10, 14), date(2025, 10, 22), date(2025, 10, 23)
INDEX = (
    "select contract, trading_day, segment_id, schedule_hash, rows, row_hash, status "
    "from raw_tq.symbol_day order by trading_day, contract"
)


def world() -> World:
    return World(("SHFE.cu",), first=FIRST, end=END, ticks_per_day=150, default_ticks=150)


OLD, NEW = (contract for _, contract in world().main_table("SHFE.cu")[:2])
ROLL = world().main_table("SHFE.cu")[1][0]  # the first day of NEW
TRADED = [day for day in world().days if day <= END]
BEFORE_ROLL = TRADED[TRADED.index(ROLL) - 1]
DAYS = len(TRADED)
