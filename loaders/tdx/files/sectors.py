"""The client's sectors in `T0002/hq_cache`: `block_{gn,fg,zs}.dat`, `tdxhy.cfg`.

block_*.dat   a head of 384 bytes, a count, then sectors of 2,813 bytes: a name and up to 400 codes
              of six digits without their exchange (pytdx reads them)
tdxhy.cfg     a line per stock, `0|000001|T1001|440101|H1201`: exchange, code, the client's own
              industry, and two further classifications
"""

import re
import warnings
from pathlib import Path
from typing import NamedTuple

from loaders.errors import DataQualityError
from loaders.landing.rejects import Rejected
from loaders.tdx.files.written import read_content

INDUSTRIES = ("industry", "industry_2", "industry_3")
# the kinds of sectors in each file
KINDS = {
    "block_gn.dat": ("concept",),
    "block_fg.dat": ("style",),
    "block_zs.dat": ("index",),
    "tdxhy.cfg": INDUSTRIES,
}
EXCHANGES = {"0": "sz", "1": "sh", "2": "bj"}
_HEAD, _SECTOR = 386, 2813
_DIGITS = re.compile(r"[0-9]{6}")


class Membership(NamedTuple):
    """A code's membership; an industry's member has its exchange in front."""

    sector_kind: str
    sector_name: str
    member: str


def read(path: Path, name: str) -> tuple[set[Membership], list[Rejected]]:
    """Read the memberships in a file of KINDS, and the records that were refused.

    Raises DataQualityError for a file that is unreadable, cut short or without any sector.
    """
    content = read_content(path)
    memberships, rejected = (
        _industries(content, path) if name == "tdxhy.cfg" else _blocks(content, path, name)
    )
    if not memberships:
        raise DataQualityError(f"{path} holds no sector: the stored rows stay")
    return memberships, rejected


def _blocks(content: bytes, path: Path, name: str) -> tuple[set[Membership], list[Rejected]]:
    count = int.from_bytes(content[_HEAD - 2 : _HEAD], "little")
    size = _HEAD + count * _SECTOR
    if len(content) != size:
        raise DataQualityError(
            f"{path}: {count:,} announced sectors need {size:,} bytes, and the file has"
            f" {len(content):,}",
            hint="the client may be writing it: run again; else it is no file of sectors",
        )
    with warnings.catch_warnings():  # pytdx compares strings with `is`
        warnings.simplefilter("ignore", SyntaxWarning)
        from pytdx.reader.block_reader import BlockReader

    [kind] = KINDS[name]
    memberships, rejected = set[Membership](), []
    for row in BlockReader().get_data(bytearray(content)):
        sector = row["blockname"].partition("\0")[0]
        if sector and _DIGITS.fullmatch(row["code"]):
            memberships.add(Membership(kind, sector, row["code"]))
        else:
            key = f"{name} {sector} {row['code_index']}"
            value = row["code"].replace("\0", "\\0")
            rejected.append(Rejected(key, "code", "must be six digits", value, "{}"))
    return memberships, rejected


def _industries(content: bytes, path: Path) -> tuple[set[Membership], list[Rejected]]:
    memberships, rejected = set[Membership](), []
    lines = content.decode("gbk", "replace").splitlines()
    if content and not content.endswith(b"\n"):
        raise DataQualityError(
            f"{path} ends within line {len(lines):,}: it is cut short, and the stored rows stay",
            hint="the client may be writing it: run again; else let the client download it again",
        )
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
            rule = "must be 0 (sz), 1 (sh) or 2 (bj), and six digits"
            value = line[:200].replace("\0", "\\0")
            rejected.append(Rejected(f"tdxhy.cfg:{number}", "code", rule, value, "{}"))
    return memberships, rejected
