"""The desktop client's gbbq: what a record becomes, and what is no gbbq."""

import struct
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.sandbox.tdx import client_files
from loaders.sandbox.tdx.client_files import Record
from loaders.tdx.datasets.capital_events import count_unknown
from loaders.tdx.files import gbbq
from loaders.tdx.files.gbbq import Gbbq
from loaders.tdx.files.written import State, read_content
from quotemill.errors import DataQualityError

DIVIDEND: Record = ("sh600000", 20080516, 1, (1.6, 8.45, 3, 0.3))
CAPITAL: Record = ("sz000001", 20080516, 5, (100, 200, 300, 400))
Reading = Callable[[Iterable[Record]], Gbbq]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    def read(records: Iterable[Record]) -> Gbbq:
        file = tmp_path / "gbbq"
        file.write_bytes(client_files.encode_gbbq(records))
        return gbbq.read_events(file)

    return read


def by_pytdx(file: Path) -> list[tuple[Any, ...]]:
    from pytdx.reader.gbbq_reader import GbbqReader

    rows = GbbqReader().get_df(str(file)).itertuples(index=False)
    return sorted(
        (gbbq.EXCHANGES[row[0]] + row[1], row[2], row[3], *(f"{v:.7g}" for v in row[4:]))
        for row in rows
    )


def by_us(result: Gbbq) -> list[tuple[Any, ...]]:
    return sorted(
        (
            row["code"],
            int(f"{row['event_date']:%Y%m%d}"),
            row["category"],
            *(f"{float(row[name]):.7g}" for name in gbbq.VALUES),
        )
        for row in result.rows.to_pylist()
    )


def test_records_are_those_of_pytdx(tmp_path: Path) -> None:
    seeded = np.random.default_rng(13)
    file = tmp_path / "gbbq"
    file.write_bytes(
        client_files.encode_gbbq(
            (
                f"{gbbq.EXCHANGES[n % 3]}{seeded.integers(10**6):06d}",
                int(f"{2000 + n % 20}{1 + n % 12:02d}{1 + n % 28:02d}"),
                n % 15 + 1,
                tuple(round(v, 4) for v in seeded.uniform(0, 10**3, 4)),  # type: ignore[arg-type]
            )
            for n in range(60)
        )
    )

    assert by_us(gbbq.read_events(file)) == by_pytdx(file)


def test_real_records_are_those_of_pytdx(real_client: Path, tmp_path: Path) -> None:
    content, count = (real_client / "T0002/hq_cache/gbbq").read_bytes(), 1500
    file = tmp_path / "gbbq"  # the reader takes 10 s for all of them
    file.write_bytes(struct.pack("<I", count) + content[4 : 4 + 29 * count])

    assert by_us(gbbq.read_events(file)) == by_pytdx(file)


def test_the_numbers_are_the_decimals_that_became_single_floats(reading: Reading) -> None:
    result = reading([("sz000009", 20080516, 1, (43.74, 2.000717, 2.87224, 0.1))])
    [row] = result.rows.to_pylist()
    assert [row[name] for name in gbbq.VALUES] == [
        Decimal("43.74"),
        Decimal("2.000717"),
        Decimal("2.87224"),
        Decimal("0.1"),
    ]


def test_records_of_a_code_day_and_category_are_numbered_in_file_order(
    reading: Reading,
) -> None:
    later = (*DIVIDEND[:1], 20090101, *DIVIDEND[2:])
    result = reading([later, CAPITAL, DIVIDEND, (*DIVIDEND[:3], (9, 0, 0, 0)), CAPITAL])
    rows = [tuple(row.values())[:4] for row in result.rows.to_pylist()]
    assert rows == [
        ("sh600000", date(2008, 5, 16), 1, 1),
        ("sh600000", date(2008, 5, 16), 1, 2),
        ("sh600000", date(2009, 1, 1), 1, 1),
        ("sz000001", date(2008, 5, 16), 5, 1),
        ("sz000001", date(2008, 5, 16), 5, 2),
    ]


def test_an_unknown_category_is_kept_and_counted(reading: Reading) -> None:
    strange = ("sh600000", 20080516, 77, (1.0, 2.0, 3.0, 4.0))
    result = reading([DIVIDEND, strange, strange])
    assert count_unknown(result.rows) == {77: 2}
    assert len(result.rows) == 3
    assert result.rejected == []


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (("xx600000", *DIVIDEND[1:]), "market"),
        (("sh6000", *DIVIDEND[1:]), "code"),
        (("sh60000x", *DIVIDEND[1:]), "code"),
        (("sh600000", 20080231, *DIVIDEND[2:]), "datetime"),
        (("sh600000", 0, *DIVIDEND[2:]), "datetime"),
        ((*DIVIDEND[:3], (float("nan"), 0, 0, 0)), "values"),
        ((*DIVIDEND[:3], (0, 3e38, 0, 0)), "values"),
    ],
)
def test_a_record_that_cannot_be_true_is_refused_and_the_rest_is_read(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, record: Record, field: str
) -> None:
    monkeypatch.setitem(client_files.EXCHANGES, "xx", 7)
    result = reading([CAPITAL, record, CAPITAL])
    assert [row["code"] for row in result.rows.to_pylist()] == ["sz000001"] * 2
    [refused] = result.rejected
    assert refused.field == field
    assert " record 1" in refused.row_key


def test_what_is_no_gbbq_is_refused_as_a_whole(tmp_path: Path) -> None:
    whole = client_files.encode_gbbq([DIVIDEND] * 40)
    file = tmp_path / "gbbq"
    for content, said in (
        (b"", f"{file}: 0 "),
        (whole[:-1], "40 .* 1,164 .* 1,163"),
        (struct.pack("<I", 40) + bytes(range(256)) * 8, "of 40 "),
    ):
        file.write_bytes(content)
        with pytest.raises(DataQualityError, match=said):
            gbbq.read_events(file)
    with pytest.raises(DataQualityError, match="absent"):
        gbbq.read_events(tmp_path / "absent")


def test_a_file_written_while_it_is_read_is_not_taken_for_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gbbq"
    file.write_bytes(client_files.encode_gbbq([DIVIDEND]))
    before = State.try_read(file)

    def written_meanwhile(path: Path) -> bytes:
        content = read_content(path)
        path.write_bytes(client_files.encode_gbbq([DIVIDEND, CAPITAL]))
        return content

    monkeypatch.setattr(gbbq, "read_content", written_meanwhile)
    result = gbbq.read_events(file)
    assert (result.state, len(result.rows)) == (before, 1)
    assert State.try_read(file) != before
