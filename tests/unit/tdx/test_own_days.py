from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from loaders.tdx.bars.records import to_dates
from loaders.tdx.files.own_days import INDEX, find_own_days
from tests.client_folder import RECORD

FRIDAY, SATURDAY, MONDAY = date(1992, 5, 15), date(1992, 5, 16), date(1992, 5, 18)
WEEK, LONGER = (FRIDAY, MONDAY), (FRIDAY, SATURDAY, MONDAY)


@pytest.mark.parametrize(
    ("index", "codes", "own"),
    [
        (LONGER, [LONGER, LONGER, LONGER, WEEK], [SATURDAY]),
        (WEEK, [LONGER] * 9, []),  # the index has no such day
        (LONGER, [LONGER, LONGER, WEEK], []),  # two codes may share a fault
        (LONGER, [LONGER] * 3 + [WEEK] * 3, []),  # half the codes
        (LONGER, [LONGER] * 3 + [(MONDAY,)] * 9, [SATURDAY]),  # listed later
    ],
)
@pytest.mark.parametrize("exchange", INDEX)
def test_the_index_and_most_codes_prove_a_day(
    exchange: str,
    index: Sequence[date],
    codes: list[Sequence[date]],
    own: list[date],
    tmp_path: Path,
) -> None:
    files = {}
    for code, days in [
        (INDEX[exchange], index),
        *((f"{exchange}600{n:03d}", days) for n, days in enumerate(codes)),
    ]:
        bars = np.zeros(len(days), RECORD)
        bars["day"] = [int(f"{day:%Y%m%d}") for day in days]
        files[code] = tmp_path / f"{code}.day"
        files[code].write_bytes(bars.tobytes())
    closed = SATURDAY.__eq__
    assert to_dates(find_own_days(files, exchange, closed)) == own
    unreadable = tmp_path / "x.day"
    unreadable.write_bytes(b"12")
    assert to_dates(find_own_days({INDEX[exchange]: unreadable}, exchange, closed)) == []
