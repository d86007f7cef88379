"""The client's sectors in `T0002/hq_cache`, as today's client and older ones write them.

infoharbor_block.dat   today's concepts, styles and indices: text in GB18030; a line for each sector
                       (`#GN_通达信88,88,880515,20050607,20260512,,`: kind and name, number of
                       members), then lines of members (`0#000001,1#600000`: exchange, code)
spblock.dat            further sectors, such as members of large indices: a line `#中证500`, then one
                       for each member, `1600000`: exchange, code
block_*.dat            the same of older clients: a head of 384 bytes, a count, then sectors of
                       2,813 bytes: a name of 9 bytes (GBK), u16 number of members, u16 kind, 400
                       codes of 7 bytes, six digits without their exchange
tdxhy.cfg              industries, a line per stock: exchange, code, the client's own industry and
                       further classifications. Today's lines have six fields, the last with the
                       research industry, `0|000001|T1001|||X500102`; older ones have five,
                       `0|000001|T1001|440101|H1201`
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from loaders.landing.rejects import Rejected
from loaders.tdx.files.generations import OLDER, TODAY, Pair
from loaders.tdx.files.written import read_content
from quotemill.errors import DataQualityError
from quotemill.foreign import reads_file
from quotemill.wording import say_count

INDUSTRIES = ("industry", "industry_2", "industry_3", "industry_x")
# the kinds of sectors in each file
KINDS = {
    "block_gn.dat": ("concept",),
    "block_fg.dat": ("style",),
    "block_zs.dat": ("index",),
    "spblock.dat": ("special",),
    "tdxhy.cfg": INDUSTRIES,
}
BLOCKS, SPECIAL = "infoharbor_block.dat", "spblock.dat"
_PREFIXES = {"block_gn.dat": "GN", "block_fg.dat": "FG", "block_zs.dat": "ZS"}
# today's file and an older client's, by key
FILES = {key: Pair(BLOCKS if key in _PREFIXES else key, key) for key in KINDS}
EXCHANGES = {"0": "sz", "1": "sh", "2": "bj"}
_INDUSTRIES_IN = {
    TODAY: ("industry", "industry_x"),
    OLDER: ("industry", "industry_2", "industry_3"),
}
_HEAD, _SECTOR = 386, 2813
_NAME, _CODE, _MOST_MEMBERS = struct.Struct("<9sHH"), 7, 400
_DIGITS = re.compile(r"[0-9]{6}")
_MEMBER = re.compile(r"([012])#([0-9]{6})")
_SPECIAL_MEMBER = re.compile(r"([012])([0-9]{6})")
_HEADER = re.compile(r"#([A-Za-z]+)_([^,]+),([0-9]*)")
_EXPLAIN_CODE = "must be 0 (sz), 1 (sh) or 2 (bj), and six digits"


class Membership(NamedTuple):
    """A code's membership; only the member of an older client's block has no exchange in front."""

    sector_kind: str
    sector_name: str
    member: str


class SectorFile(NamedTuple):
    """Content of a file of sectors.

    generation: TODAY or OLDER.
    kinds: those that files of this generation have.
    unknown: a sentence for each part that is not understood.
    short: number of announced members of each sector that has fewer, by kind and name.
    cut_line: number of the line within which the file ends; it is not read.
    """

    memberships: set[Membership]
    rejected: list[Rejected]
    generation: str
    kinds: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    short: Mapping[tuple[str, str], int] = MappingProxyType({})
    cut_line: int | None = None


@reads_file
def read_sectors(path: Path, key: str) -> SectorFile:
    """Read the sectors of a key of KINDS.

    An empty file has no sector. Raises DataQualityError for a file that is unreadable
    or holds something else.
    """
    content = read_content(path)
    if not content:
        return SectorFile(set(), [], TODAY if _is_text(path) else OLDER, KINDS[key])
    if key == "tdxhy.cfg":
        file = _industries(content)
    elif key == SPECIAL:
        file = _special_sectors(content, path)
    elif _is_text(path):
        file = _text_blocks(content, path, key)
    else:
        memberships, rejected = _blocks(content, path, key)
        file = SectorFile(memberships, rejected, OLDER, KINDS[key])
    if not file.memberships and not _is_text(path):
        raise DataQualityError(f"{path} holds no sector: the stored rows stay")
    return file


def owns_rejected(key: str, row_key: str) -> bool:
    """Whether a rejected row is of a key of KINDS."""
    return row_key.startswith((key, f"{BLOCKS} {_PREFIXES.get(key, key)}_"))


@reads_file
def read_generation(path: Path) -> str:
    """The generation of a file of sectors. Raises DataQualityError."""
    if path.name.lower().endswith("tdxhy.cfg"):
        return _generation(read_content(path).decode("gbk", "replace").splitlines())
    return TODAY if _is_text(path) else OLDER


def _is_text(path: Path) -> bool:
    return path.name.lower().endswith(
        (BLOCKS, SPECIAL)
    )  # a zip of Windows may leave its folders in the name


def _blocks(content: bytes, path: Path, name: str) -> tuple[set[Membership], list[Rejected]]:
    count = int.from_bytes(content[_HEAD - 2 : _HEAD], "little")
    size = _HEAD + count * _SECTOR
    if len(content) != size:
        raise DataQualityError(
            f"{path}: {count:,} announced sectors need {size:,} bytes, and the file has"
            f" {len(content):,}",
            hint="the client may be writing it: run again; else it is no file of sectors",
        )
    [kind] = KINDS[name]
    memberships, rejected = set[Membership](), list[Rejected]()
    for start in range(_HEAD, size, _SECTOR):
        raw_name, members, _ = _NAME.unpack_from(content, start)
        # a long name ends within a character
        sector = raw_name.partition(b"\0")[0].decode("gb18030", "ignore")
        for n in range(min(members, _MOST_MEMBERS)):
            place = start + _NAME.size + n * _CODE
            raw_code = content[place : place + _CODE].partition(b"\0")[0]
            code = raw_code.decode("ascii", "replace")
            if sector and _DIGITS.fullmatch(code):
                memberships.add(Membership(kind, sector, code))
            else:
                key = f"{name} {sector} {n}"
                rejected.append(Rejected(key, "code", "must be six digits", code, "{}"))
    return memberships, rejected


def _text_blocks(content: bytes, path: Path, key: str) -> SectorFile:
    [kind], prefix = KINDS[key], _PREFIXES[key]
    memberships, rejected = set[Membership](), list[Rejected]()
    empty, longer, foreign = list[str](), list[str](), set[str]()
    short: dict[tuple[str, str], int] = {}
    for header, members in _split_sectors(content, path):
        match = _HEADER.match(header)
        if match is None or match[1] not in _PREFIXES.values():
            foreign.add(match[1] if match else header[:40])
            continue
        if match[1] != prefix:
            continue
        name, count = match[2], int(match[3] or len(members))
        if count > len(members):
            short[kind, name] = count
        elif not members:
            empty.append(name)
        elif count < len(members):
            longer.append(f"{name}: {len(members):,} where {count:,} are announced")
        good, bad = _parse_members(members, _MEMBER, f"{BLOCKS} {prefix}_{name}")
        memberships |= {Membership(kind, name, code) for code in good}
        rejected += bad
    unknown = []
    if foreign:
        unknown.append(f"sectors of an unknown kind are skipped: {', '.join(sorted(foreign)[:5])}")
    if empty:
        unknown.append(f"{len(empty):,} of kind {kind} name no member, such as {empty[0]}")
    if short:
        names = ", ".join(name for _, name in list(short)[:5])
        unknown.append(f"{len(short):,} have fewer members than announced: {names}")
    if longer:
        unknown.append(f"{len(longer):,} have more members than announced, such as {longer[0]}")
    return SectorFile(memberships, rejected, TODAY, KINDS[key], tuple(unknown), short)


def _special_sectors(content: bytes, path: Path) -> SectorFile:
    [kind] = KINDS[SPECIAL]
    memberships, rejected = set[Membership](), list[Rejected]()
    for header, members in _split_sectors(content, path):
        name = header.removeprefix("#").partition(",")[0].strip()
        good, bad = _parse_members(members, _SPECIAL_MEMBER, f"{SPECIAL} {name}")
        memberships |= {Membership(kind, name, code) for code in good}
        rejected += bad
    return SectorFile(memberships, rejected, TODAY, (kind,))


def _parse_members(
    members: Sequence[str], pattern: re.Pattern[str], sector: str
) -> tuple[list[str], list[Rejected]]:
    """Read the codes of a sector's members; those that are none are rejected by place."""
    codes, rejected = list[str](), list[Rejected]()
    for place, member in enumerate(members):
        if parts := pattern.fullmatch(member):
            codes.append(EXCHANGES[parts[1]] + parts[2])
        else:
            value = member.replace("\0", "\\0")[:200]
            rejected.append(Rejected(f"{sector} {place}", "code", _EXPLAIN_CODE, value, "{}"))
    return codes, rejected


def _split_sectors(content: bytes, path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the first line and the members of each sector. Raises DataQualityError."""
    text = content.decode("gb18030", "replace").strip()
    first, *parts = re.split(r"^#", text, flags=re.MULTILINE)
    if first or not parts:
        raise DataQualityError(
            f"{path} holds no sector: the stored rows stay",
            hint="the client may be writing it: run again; else let the client download it again",
        )
    for part in parts:
        header, *lines = part.splitlines()
        members = [m for line in lines for m in line.replace("\r", "").split(",") if m.strip()]
        yield f"#{header}", [member.strip() for member in members]


def _industries(content: bytes) -> SectorFile:
    memberships, rejected, longer = set[Membership](), [], 0
    lines = content.decode("gbk", "replace").splitlines()
    cut_line = None
    if not content.endswith(b"\n") and not _is_complete(lines):
        cut_line = len(lines)
        lines.pop()
    for number, line in enumerate(lines, 1):
        exchange, digits, *names = [*line.strip().split("|"), "", ""]
        if exchange in EXCHANGES and _DIGITS.fullmatch(digits):
            member = EXCHANGES[exchange] + digits
            memberships |= {
                Membership(kind, name, member)
                for kind, name in zip(INDUSTRIES, names, strict=False)
                if name
            }
            longer += any(names[len(INDUSTRIES) :])
        elif line.strip():
            value = line[:200].replace("\0", "\\0")
            rejected.append(Rejected(f"tdxhy.cfg:{number}", "code", _EXPLAIN_CODE, value, "{}"))
    lines_with = say_count(longer, "line has", "lines have")
    unknown = (f"{lines_with} unknown fields after the sixth",) if longer else ()
    generation = _generation(lines)
    kinds = _INDUSTRIES_IN[generation]
    kinds += tuple(sorted({m.sector_kind for m in memberships} - {*kinds}))
    return SectorFile(memberships, rejected, generation, kinds, unknown, cut_line=cut_line)


def _is_complete(lines: Sequence[str]) -> bool:
    """Whether the last line has as many fields as the one before, and a known last name."""
    *others, last = lines
    name = last.rpartition("|")[2]
    same_fields = bool(others) and last.count("|") == others[-1].count("|")
    return bool(name) and same_fields and name in {line.rpartition("|")[2] for line in others}


def _generation(lines: list[str]) -> str:
    """Today's if most lines of industries have six fields."""
    return TODAY if sum(line.count("|") >= 5 for line in lines) * 2 > len(lines) else OLDER
