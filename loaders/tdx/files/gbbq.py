"""The client's `T0002/hq_cache/gbbq`: dividends, splits and capital changes.

It covers a whole market: a count, then records of 29 bytes with exchange, code, day, category and
four single floats. The category decides what the floats mean (docs/datasets/capital_events.md).
24 bytes of a record are encrypted by Blowfish with tables of the client's own: 18 numbers and four
boxes of 256, u32, which `gbbq.tables` has.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson
import psycopg
import pyarrow as pa
from numpy.typing import NDArray

from loaders.landing.rejects import Rejected
from loaders.tdx.actions import describe_record
from loaders.tdx.bars.plausibility import is_nonsense
from loaders.tdx.files.vipdoc import read_days
from loaders.tdx.files.written import State, read_content
from loaders.tdx.lost_events import Event
from loaders.tdx.tables import CAPITAL_EVENT
from quotemill.errors import DataQualityError
from quotemill.foreign import reads_file

ROUTE: Final = "gbbq"
TABLES = Path(__file__).with_name("gbbq.tables")
PLACE: Final = "T0002/hq_cache/gbbq"
EXCHANGES = ("sz", "sh", "bj")
VALUES = tuple(f"value{n}" for n in range(1, 5))
DIGITS = 7  # significant decimal digits of a single float
MOST_VALUE = CAPITAL_EVENT.most_of(VALUES[0])
_PLACE = ("code", "event_date", "category")
_HEAD, _ENCRYPTED = 4, 24
_RECORD = np.dtype(
    [("market", "u1"), ("code", "S7"), ("day", "<u4"), ("category", "u1"), ("values", "<f4", 4)]
)
_COLUMNS = {name: CAPITAL_EVENT.schema.field(name).type for name in VALUES}


class Gbbq(NamedTuple):
    """Content of the file.

    rows: readable records in the columns of raw_tdx.capital_event without lineage, sorted by them.
    rejected: records that were refused.
    state: the file's state before it was read; an older one if the file is being written.
    """

    rows: pa.Table
    rejected: list[Rejected]
    state: State


@reads_file
def read_events(path: Path) -> Gbbq:
    """Read the file's events.

    A record that cannot be true is refused; one of an unknown category stays. Raises
    DataQualityError for a file that is unreadable, cut short or something else.
    """
    state, content = State.read_state(path), read_content(path)
    state = replace(state, checksum=zlib.crc32(content))
    announced = int.from_bytes(content[:_HEAD], "little")
    size = _HEAD + announced * _RECORD.itemsize
    if not announced or len(content) < size:
        raise DataQualityError(
            f"{path}: {announced:,} announced records need {size:,} bytes, but the file "
            f"has {len(content):,}",
            hint="Run again, in case it is still being written. If that does not help, download it "
            "again.",
        )
    raw = _decrypted(content[_HEAD:size])
    days, is_day = read_days(raw["day"].astype(np.int64))
    codes = np.char.decode(raw["code"], "latin-1")
    is_code = (np.char.str_len(codes) == 6) & np.char.isdecimal(codes)
    rules = {
        "market": (raw["market"] < len(EXCHANGES), "must be 0 (sz), 1 (sh) or 2 (bj)"),
        "code": (is_code, "must be six digits"),
        "datetime": (is_day, "must be a day of the calendar, since 1990"),
        "values": (
            (np.abs(raw["values"]) <= MOST_VALUE).all(axis=1),
            f"must be numbers up to {MOST_VALUE}",
        ),
    }
    good = np.logical_and.reduce([mask for mask, _ in rules.values()])
    if is_nonsense(int(np.count_nonzero(~good)), len(raw)):
        raise DataQualityError(
            f"{path}: {np.count_nonzero(~good):,} of {len(raw):,} records are not "
            "corporate actions, so this is not a gbbq file of the TDX desktop client",
            hint=f"Copy {PLACE} from a client's folder, or delete it and download it again.",
        )
    rejected = [
        _refused(raw[i], int(i), name, rule)
        for i in np.flatnonzero(~good)
        for name, (mask, rule) in rules.items()
        if not mask[i]
    ]
    good_records, days = raw[good], days[good]
    prefixes = np.array(EXCHANGES)[good_records["market"]]
    table = _table(np.char.add(prefixes, codes[good]), days, good_records)
    return Gbbq(table, rejected, state)


def name_version(state: State | None) -> str:
    """A version of the file: its day, and its length by records and bytes."""
    if state is None:
        return "an unknown day"
    count = (state.size - _HEAD) // _RECORD.itemsize
    return f"{state.day} ({count:,} records, {state.size:,} bytes)"


def _decrypted(content: bytes) -> NDArray[np.void]:
    """Decrypt records: Blowfish over the first 24 bytes of each, the last 5 are plain."""
    keys = np.frombuffer(TABLES.read_bytes(), "<u4")
    p, (s0, s1, s2, s3) = keys[:18], keys[18:].reshape(4, 256)
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD.itemsize).copy()
    blocks = records[:, :_ENCRYPTED].copy().view("<u4").reshape(-1, 2)
    left, right = blocks[:, 0] ^ p[17], blocks[:, 1]
    for key in p[16:0:-1]:
        mixed = s0[left >> 24] + s1[left >> 16 & 255]
        mixed = (mixed ^ s2[left >> 8 & 255]) + s3[left & 255]
        left, right = right ^ mixed ^ key, left
    clear = np.stack([right ^ p[0], left], axis=1)
    records[:, :_ENCRYPTED] = clear.reshape(len(records), -1).view(np.uint8)
    return records.reshape(-1).view(_RECORD)


def _table(
    codes: NDArray[np.str_], days: NDArray[np.datetime64], records: NDArray[np.void]
) -> pa.Table:
    """Sort records by code, day and category, and number them from 1 within these."""
    order = np.lexsort((records["category"], days, codes))
    codes, days, records = codes[order], days[order], records[order]
    categories, place = records["category"].astype(np.int32), np.arange(len(order))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (
        (codes[1:] != codes[:-1]) | (days[1:] != days[:-1]) | (categories[1:] != categories[:-1])
    )
    columns = {
        "code": pa.array(codes),
        "event_date": pa.array(days),
        "category": pa.array(categories),
        "seq": pa.array(
            (place - np.maximum.accumulate(np.where(is_first, place, 0)) + 1).astype(np.int32)
        ),
    }
    for n, name in enumerate(VALUES):
        columns[name] = _exact(records["values"][:, n], _COLUMNS[name])
    return pa.table(columns)


def _exact(values: NDArray[np.float32], kind: pa.DataType) -> pa.Array:
    """Restore the seven digits that the source turned into single floats."""
    distinct, where = np.unique(values, return_inverse=True)
    texts = [f"{value:.{DIGITS}g}" for value in distinct.tolist()]
    return pa.array([round(Decimal(text), kind.scale) for text in texts], kind).take(
        pa.array(where)
    )


def _refused(record: np.void, place: int, name: str, rule: str) -> Rejected:
    market, day = int(record["market"]), int(record["day"])
    prefix = EXCHANGES[market] if market < len(EXCHANGES) else ""
    code = prefix + re.sub(r"[^0-9A-Za-z]", "?", record["code"].decode("latin-1"))
    values = ", ".join(map(str, record["values"]))
    shown = {"market": str(market), "code": code, "datetime": str(day), "values": values}
    payload = describe_record(code, day, int(record["category"]), record["values"])
    return Rejected(f"{ROUTE} {code} record {place}", name, rule, shown[name], payload)


def count_refused(content: Gbbq) -> Counter[tuple[str, date, int]]:
    """Count the refused records by code, day and category; those without a day are left out."""
    counts: Counter[tuple[str, date, int]] = Counter()
    # a record that breaks several rules has one refusal for each
    for row in {refusal.row_key: refusal for refusal in content.rejected}.values():
        record = orjson.loads(row.payload)
        with suppress(ValueError):
            counts[record["code"], date.fromisoformat(record["ex_date"]), record["category"]] += 1
    return counts


def list_events(rows: pa.Table) -> Iterator[Event]:
    """The records of a table as events."""
    code, day, category, *values = (rows[name].to_pylist() for name in (*_PLACE, *VALUES))
    return map(Event, code, day, category, zip(*values, strict=True))


def read_stored(conn: psycopg.Connection) -> list[Event]:
    """The stored records as events."""
    query = f"select {', '.join((*_PLACE, *VALUES))} from {CAPITAL_EVENT.qualified}"
    return [Event(row[0], row[1], row[2], row[3:]) for row in conn.execute(query.encode())]


def add_events(rows: pa.Table, staying: Sequence[Event]) -> pa.Table:
    """Add stored records that a file lacks, behind those of the same code, day and category."""
    if not staying:
        return rows
    known = Counter(event.place for event in list_events(rows))
    added = []
    for event in staying:
        known[event.place] += 1
        values = (*event.place, known[event.place], *event.values)
        added.append(dict(zip(rows.schema.names, values, strict=True)))
    table = pa.concat_tables([rows, pa.Table.from_pylist(added, rows.schema)])
    return table.sort_by([(name, "ascending") for name in rows.schema.names[:4]])
