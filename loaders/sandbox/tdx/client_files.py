"""The desktop client's files of a simulated market in `T0002/hq_cache`.

{shm,szm,bjm}.tnf   a head of 50 bytes, then 314 for each instrument: code at 0, name (GBK) at 23
gbbq                a count, then 29 bytes for each event: u8 exchange, 7 bytes code, u32 date
                    YYYYMMDD, u8 category, four f32; the first 24 of them encrypted by Blowfish,
                    with tables that pytdx has
"""

import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from loaders.errors import UsageError
from loaders.sandbox.world.actions import DIVIDEND, SPLIT, Action, events
from loaders.sandbox.world.world import World

EXCHANGES = {"sz": 0, "sh": 1, "bj": 2}
CAPITAL = 5
_HEAD, _RECORD, _NAME = 50, 314, 23
_ENCRYPTED = 24

# code, date, category and the four numbers
Record = tuple[str, int, int, tuple[float, float, float, float]]


def write_client_files(world: World, folder: Path) -> None:
    """Write lists and events into `folder`, the client's hq_cache; raises UsageError."""
    contents = {f"{exchange}m.tnf": instrument_list(world, exchange) for exchange in EXCHANGES}
    contents["gbbq"] = capital_events(world)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error


def instrument_list(world: World, exchange: str) -> bytes:
    """The content of a .tnf file."""
    content = bytes(_HEAD)
    for security in world.securities:
        if security.exchange == exchange:
            head = security.digits.encode().ljust(_NAME, b"\0")
            content += (head + security.name.encode("gbk")).ljust(_RECORD, b"\0")
    return content


def capital_events(world: World) -> bytes:
    """The content of gbbq: all corporate actions of the market, announced ones too."""
    return encode_gbbq(
        (security.code, *record)
        for security in world.securities
        for record in _records(
            world.actions(security.code), int(f"{security.listed:%Y%m%d}"), security.kind == "stock"
        )
    )


def _records(
    actions: Sequence[Action], listed: int, has_capital: bool
) -> Iterator[tuple[int, int, tuple[float, float, float, float]]]:
    """The records of a security.

    The capital at listing and each change of it are separate records, in units of 10,000 shares:
    float and total before, float and total after.
    """
    before: tuple[float, float] | None = None
    for ex_date, group in groupby(actions, key=lambda action: action.ex_date):
        rows, day = list(group), int(f"{ex_date:%Y%m%d}")
        after = (float(rows[-1].float_shares), float(rows[-1].total_shares))
        if has_capital and before is None:
            grown = float(events(rows)[0].m) if events(rows) else 1
            before = (round(after[0] / grown), round(after[1] / grown))
            yield listed, CAPITAL, (0, 0, *before)
        for row in rows:
            if row.category == DIVIDEND:
                new = float(row.bonus + row.transfer)
                amounts = (float(row.cash), float(row.rights_price), new, float(row.rights))
                yield day, DIVIDEND, amounts
            elif row.category == SPLIT:
                yield day, SPLIT, (0, 0, float(row.split_ratio or 1), 0)
        if before is not None and (after != before or rows[-1].category == CAPITAL):
            yield day, CAPITAL, (*before, *after)
            before = after


def encode_gbbq(records: Iterable[Record]) -> bytes:
    """The content of gbbq: Blowfish over 24 bytes of a record, the last five plain."""
    with warnings.catch_warnings():  # pytdx compares texts by identity
        warnings.simplefilter("ignore", SyntaxWarning)
        from pytdx.reader.gbbq_reader import GbbqReader

    plain = [
        struct.pack("<B7sIB4f", EXCHANGES[code[:2]], code[2:].encode(), day, category, *values)
        for code, day, category, values in records
    ]
    tables = np.frombuffer(bytes.fromhex(GbbqReader.hexdump_keys), "<u4")
    p, (s0, s1, s2, s3) = tables[:18], tables[18:1042].reshape(4, 256)
    blocks = np.frombuffer(b"".join(record[:_ENCRYPTED] for record in plain), "<u4").reshape(-1, 2)
    left, right = blocks[:, 0] ^ p[0], blocks[:, 1]
    for key in p[1:17]:
        mixed = s0[left >> 24] + s1[left >> 16 & 255]
        mixed = (mixed ^ s2[left >> 8 & 255]) + s3[left & 255]
        left, right = right ^ mixed ^ key, left
    hidden = np.stack([right ^ p[17], left], axis=1).reshape(len(plain), -1)
    ends = (record[_ENCRYPTED:] for record in plain)
    rows = (row.tobytes() + end for row, end in zip(hidden, ends, strict=True))
    return struct.pack("<I", len(plain)) + b"".join(rows)
