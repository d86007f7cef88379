"""Codes and names in the client's lists, `T0002/hq_cache/{shm,szm,bjm}.tnf`.

A head of 50 bytes, then records of 314: the code at 0 (six digits), the name at 23 (GBK, ended by a
zero byte). Older and newer clients write records of another size. Such a list is refused as a
whole, because the place of its names is unknown.

    read(path, "sz")   {"sz000001": "平安银行", …}
"""

from pathlib import Path

from loaders.errors import DataQualityError
from loaders.tdx.files.written import read_content

HEAD, SIZE = 50, 314
_CODE, _NAME = slice(0, 6), slice(23, 41)
FILES = {"sh": "shm.tnf", "sz": "szm.tnf", "bj": "bjm.tnf"}


def read(path: Path, exchange: str) -> dict[str, str]:
    """Read the names by code (`sz000001`). Raises DataQualityError for another file."""
    content = read_content(path)
    body = content[HEAD:]
    count, tail = divmod(len(body), SIZE)
    if tail or not count:
        raise DataQualityError(
            f"{path.name}: {len(content):,} bytes are no head of {HEAD} and records of {SIZE}:"
            " a list of another client, or one that is being written"
        )
    names: dict[str, str] = {}
    for at in range(count):
        record = body[at * SIZE : (at + 1) * SIZE]
        digits = record[_CODE]
        if not digits.isdigit():
            raise DataQualityError(
                f"{path.name}: record {at + 1} starts with {digits!r}, which is no code"
            )
        name = record[_NAME].partition(b"\0")[0].decode("gbk", "replace").strip()
        names.setdefault(f"{exchange}{digits.decode()}", name)
    return names
