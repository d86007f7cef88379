"""The desktop client's files of a simulated market in `T0002/hq_cache`.

{shs,szs,bjs}.tnf      lists: a head of 50 bytes, then 360 for each instrument: code at 0, name
                       (GBK) at 31
infoharbor_block.dat   concepts, styles and indices: lines `#GN_name,count,,day,day,,` and lines of
                       members, `0#000001,1#600000`
spblock.dat            members of large indices: a line `#中证500`, then lines `1600000`
tdxhy.cfg              industries: `0|000001|T1001|||X500102`
gbbq                   a count, then 29 bytes for each event: u8 exchange, 7 bytes code, u32 date
                       YYYYMMDD, u8 category, four f32; the first 24 of them encrypted by Blowfish,
                       with the client's own tables
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from loaders.sandbox.world.actions import DIVIDEND, SPLIT, Action, events
from loaders.sandbox.world.world import Security, World
from quotemill.errors import UsageError

EXCHANGES = {"sz": 0, "sh": 1, "bj": 2}
CAPITAL = 5
_RECORD, _NAME = 360, 31  # size of a record of a list, and place of the name in it
_HEAD, _ENCRYPTED = 50, 24
_TABLES = Path(__file__).parents[2] / "tdx" / "files" / "gbbq.tables"
# prefix and sectors; stock n is in sector n % count
_BLOCKS = {
    "GN": ("芯片", "5G概念", "新能源车"),
    "FG": ("基金重仓", "高分红股"),
    "ZS": ("沪深300",),
}
_INDUSTRIES = ("T1001|||X500102", "T1205|||X420201", "T0706|||")

# code, date, category and the four numbers
Record = tuple[str, int, int, tuple[float, float, float, float]]


def write_client_files(world: World, folder: Path) -> None:
    """Write lists and events into `folder`, the client's hq_cache; raises UsageError."""
    contents = {f"{exchange}s.tnf": instrument_list(world, exchange) for exchange in EXCHANGES}
    _write(folder, contents | {"gbbq": capital_events(world)})


def write_sectors(world: World, folder: Path) -> None:
    """Write the sectors of the stocks into `folder`; raises UsageError."""
    _write(folder, sector_files(world))


def sector_files(world: World) -> dict[str, bytes]:
    """The files of the sectors of the stocks by name."""
    stocks = [s for s in world.securities if s.kind == "stock"]
    lines = (
        f"{EXCHANGES[s.exchange]}|{s.digits}|{_INDUSTRIES[n % len(_INDUSTRIES)]}\r\n"
        for n, s in enumerate(stocks)
    )
    blocks = {
        prefix: {name: stocks[n :: len(names)] for n, name in enumerate(names)}
        for prefix, names in _BLOCKS.items()
    }
    return {
        "tdxhy.cfg": "".join(lines).encode("gbk"),
        "infoharbor_block.dat": text_blocks(blocks, f"{world.days[-1]:%Y%m%d}"),
        "spblock.dat": special_sectors({"中证500": stocks}),
    }


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
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


def text_blocks(blocks: Mapping[str, Mapping[str, Sequence[Security]]], day: str) -> bytes:
    """The content of infoharbor_block.dat: sectors by prefix and name."""
    lines = []
    for prefix, sectors in blocks.items():
        for name, members in sectors.items():
            lines.append(f"#{prefix}_{name},{len(members)},,{day},{day},,")
            codes = [f"{EXCHANGES[s.exchange]}#{s.digits}" for s in members]
            lines += [",".join(codes[at : at + 50]) for at in range(0, len(codes), 50)]
    return "".join(f"{line}\r\n" for line in lines).encode("gb18030")


def special_sectors(sectors: Mapping[str, Sequence[Security]]) -> bytes:
    """The content of spblock.dat: members by sector."""
    lines = []
    for name, members in sectors.items():
        lines += [f"#{name}", *(f"{EXCHANGES[s.exchange]}{s.digits}" for s in members)]
    return "".join(f"{line}\r\n" for line in lines).encode("gb18030")


def capital_events(world: World) -> bytes:
    """The content of gbbq: all corporate actions of the market, announced ones too."""
    return encode_gbbq(record for s in world.securities for record in event_records(world, s))


def event_records(world: World, security: Security) -> Iterator[Record]:
    """The records of a security, announced ones too."""
    listed, is_stock = int(f"{security.listed:%Y%m%d}"), security.kind == "stock"
    for record in _records(world.actions(security.code), listed, is_stock):
        yield security.code, *record


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
    plain = [
        struct.pack("<B7sIB4f", EXCHANGES[code[:2]], code[2:].encode(), day, category, *values)
        for code, day, category, values in records
    ]
    tables = np.frombuffer(_TABLES.read_bytes(), "<u4")
    p, (s0, s1, s2, s3) = tables[:18], tables[18:].reshape(4, 256)
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
