"""The client's sectors in `T0002/hq_cache`, as today's client writes them.

infoharbor_block.dat   today's concepts, styles and indices: text in GB18030; a line for each sector
                       (`#GN_通达信88,88,880515,20050607,20260512,,`: kind and name, number of
                       members), then lines of members (`0#000001,1#600000`: exchange, code)
spblock.dat            further sectors, such as members of large indices: a line `#中证500`, then one
                       for each member, `1600000`: exchange, code
tdxhy.cfg              industries, a line per stock: exchange, code, the client's own industry and
                       further classifications, each in its place: `0|000001|T1001|||X500102`
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from loaders.landing.rejects import Rejected
from loaders.tdx.files.written import read_content
from quotemill.errors import DataQualityError
from quotemill.foreign import reads_file

INDUSTRIES = ("industry", "industry_2", "industry_3", "industry_x")
BLOCKS, SPECIAL, STOCKS = "infoharbor_block.dat", "spblock.dat", "tdxhy.cfg"
# the kinds of sectors in each file
KINDS = {BLOCKS: ("concept", "style", "index"), SPECIAL: ("special",), STOCKS: INDUSTRIES}
_PREFIXES = dict(zip(("GN", "FG", "ZS"), KINDS[BLOCKS], strict=True))
EXCHANGES = {"0": "sz", "1": "sh", "2": "bj"}
_DIGITS = re.compile(r"[0-9]{6}")
_MEMBER = re.compile(r"([012])#([0-9]{6})")
_SPECIAL_MEMBER = re.compile(r"([012])([0-9]{6})")
_HEADER = re.compile(r"#([A-Za-z]+)_([^,]+),([0-9]*)")
_EXPLAIN_CODE = "must be 0 (sz), 1 (sh) or 2 (bj), and six digits"


class Membership(NamedTuple):
    """A code's membership."""

    sector_kind: str
    sector_name: str
    member: str


class SectorFile(NamedTuple):
    """Content of a file of sectors.

    unknown: a sentence about sectors of kinds that are not read, or None.
    incomplete: a sentence about what a file lacks by its own account, or None.
    """

    memberships: set[Membership]
    rejected: list[Rejected]
    unknown: str | None = None
    incomplete: str | None = None


@reads_file
def read_sectors(path: Path, key: str) -> SectorFile:
    """Read the sectors of a key of KINDS.

    An empty file has no sector. Raises DataQualityError for a file that is unreadable
    or holds something else.
    """
    content = read_content(path)
    if not content:
        return SectorFile(set(), [])
    if key == STOCKS:
        return _industries(content, path)
    return _blocks(content, path, key)


def owns_rejected(key: str, row_key: str) -> bool:
    """Whether a rejected row is of a key of KINDS, or of an older client's file of its kinds."""
    return row_key.startswith((key, "block_") if key == BLOCKS else key)


def _blocks(content: bytes, path: Path, key: str) -> SectorFile:
    memberships, rejected = set[Membership](), list[Rejected]()
    foreign, short = set[str](), list[str]()
    for header, members in _split_sectors(content, path):
        if key == SPECIAL:
            kind, count = KINDS[SPECIAL][0], len(members)
            name = sector = header.removeprefix("#").partition(",")[0].strip()
        else:
            match = _HEADER.match(header)
            if match is None or match[1] not in _PREFIXES:
                foreign.add(match[1] if match else header[:40])
                continue
            kind, name, count = _PREFIXES[match[1]], match[2], int(match[3] or len(members))
            sector = f"{match[1]}_{name}"
        if count > len(members):
            short.append(name)
        pattern = _SPECIAL_MEMBER if key == SPECIAL else _MEMBER
        good, bad = _parse_members(members, pattern, f"{key} {sector}")
        memberships |= {Membership(kind, name, code) for code in good}
        rejected += bad
    unknown = incomplete = None
    if foreign:
        unknown = f"sectors of an unknown kind are skipped: {', '.join(sorted(foreign)[:5])}"
    if short:
        incomplete = f"{len(short):,} have fewer members than announced, such as {short[0]}"
    return SectorFile(memberships, rejected, unknown, incomplete)


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
            f"{path} has no sectors. Stored rows are kept",
            hint="Run again, in case it is still being written. If that does not help, download it "
            "again.",
        )
    for part in parts:
        header, *lines = part.splitlines()
        members = [m for line in lines for m in line.replace("\r", "").split(",") if m.strip()]
        yield f"#{header}", [member.strip() for member in members]


def _industries(content: bytes, path: Path) -> SectorFile:
    memberships, rejected = set[Membership](), list[Rejected]()
    lines = content.decode("gbk", "replace").splitlines()
    incomplete = None
    if not content.endswith(b"\n"):
        incomplete = f"the file ends within line {len(lines):,}, which is skipped"
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
        elif line.strip():
            value = line[:200].replace("\0", "\\0")
            rejected.append(Rejected(f"{STOCKS}:{number}", "code", _EXPLAIN_CODE, value, "{}"))
    if not memberships:
        raise DataQualityError(f"{path} has no sectors. Stored rows are kept")
    return SectorFile(memberships, rejected, incomplete=incomplete)
