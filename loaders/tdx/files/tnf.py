"""Codes and names in the client's lists, `T0002/hq_cache/{shs,szs,bjs}.tnf` or `{shm,szm,bjm}.tnf`.

A head of 50 bytes, then records: the code at 0 (six digits), the name in GBK, ended by a zero byte.

    shs.tnf, szs.tnf, bjs.tnf   today's client: records of 360 bytes, the name at 31
    shm.tnf, szm.tnf, bjm.tnf   older clients: records of 314 bytes, the name at 23

A list with records of another size is refused as a whole: the place of its names is unknown.

    read_names(path, "sz")   {"sz000001": "平安银行", …}
"""

from pathlib import Path

from loaders.tdx.files.folder import HQ_CACHE, Folder
from loaders.tdx.files.written import read_content
from quotemill.errors import DataQualityError
from quotemill.foreign import reads_file
from quotemill.instrument_ranges import OTHER_NAMES

HEAD = 50
# size of a record and place of the name in it, by the last letter of the file's name
LAYOUTS = {"s": (360, slice(31, 76)), "m": (314, slice(23, 41))}
_CODE = slice(0, 6)


def find_list(folder: Folder, exchange: str) -> Path | None:
    """The list of an exchange; the one of an older client if today's is missing."""
    today, older = (folder.find(f"{HQ_CACHE}/{exchange}{letter}.tnf") for letter in LAYOUTS)
    return today or older


@reads_file
def read_names(path: Path, exchange: str) -> dict[str, str]:
    """Read the names by code (`sz000001`). Raises DataQualityError for another file."""
    content = read_content(path)
    size, name_place = LAYOUTS[path.stem[-1].lower()]
    body = content[HEAD:]
    count, tail = divmod(len(body), size)
    if tail or not count:
        raise DataQualityError(
            f"{path.name}: {len(content):,} bytes do not fit a header of {HEAD} and records "
            f"of {size}: the list is from another client or still being written"
        )
    names: dict[str, str] = {}
    for at in range(count):
        record = body[at * size : (at + 1) * size]
        digits = record[_CODE]
        if not digits.isdigit():
            raise DataQualityError(
                f"{path.name}: record {at + 1} does not start with a code: {digits!r}"
            )
        name = record[name_place].partition(b"\0")[0].decode("gbk", "replace").strip()
        code = f"{exchange}{digits.decode()}"
        names.setdefault(OTHER_NAMES.get(code, code), name)
    return names
