"""Codes and names in the client's lists, `T0002/hq_cache/{shm,szm,bjm}.tnf`.

A head of 50 bytes, then records of 314: the code at 0 (six digits), the name at 23 (GBK, ended by a
zero byte). Older and newer clients write records of another size. Such a list is refused as a
whole, because the place of its names is unknown.

    read(path, "sz")   {"sz000001": "平安银行", …}
"""

from pathlib import Path

from loaders.errors import DataQualityError

HEAD, SIZE = 50, 314
_CODE, _NAME = slice(0, 6), slice(23, 41)
FILES = {"sh": "shm.tnf", "sz": "szm.tnf", "bj": "bjm.tnf"}


def read(path: Path, exchange: str) -> dict[str, str]:
    """Read the names by code (`sz000001`), in the order of the list.

    Raises DataQualityError for a file that is unreadable or not such a list.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataQualityError(f"{path} cannot be read: {error.strerror}") from error
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
            raise DataQualityError(f"{path.name}: record {at + 1} begins with {digits!r}, no code")
        name = record[_NAME].partition(b"\0")[0].decode("gbk", "replace").strip()
        names.setdefault(f"{exchange}{digits.decode()}", name)
    return names
