"""A desktop client's folder of real bars and events, its stocks repeated under other codes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from loaders.sandbox.tdx.client_files import Record, encode_gbbq
from loaders.tdx.files import gbbq, tnf
from tests.client_folder import RECORD

SOURCE = Path(__file__).parents[2] / "shared" / "data" / "client"
STOCKS = 3_120  # 4.1 M bars
BOARDS = ("sh60", "sz00", "sz30")
LIST = "szm.tnf"


def write_real_market(folder: Path, stocks: int = STOCKS, source: Path = SOURCE) -> list[str]:
    """Copy the client's folder with so many stocks; return their codes.

    The source's stocks come first under their own codes, then again and again under free codes of
    their board, each with its bars, events and name. The turnover of copies grows by 1e-5 from copy
    to copy: two codes with the same bars would be one stock.
    """
    files = {file.stem: file for file in sorted(source.glob("vipdoc/*/lday/*.day"))}
    originals = [code for code in files if code.startswith(BOARDS)]
    copies = _name_copies(originals, stocks)
    twins = defaultdict[str, list[str]](list)
    for code, original in copies.items():
        twins[original].append(code)
    for code in files.keys() - set(originals):  # funds, indices, B shares
        twins[code] = [code]
    for original, codes in twins.items():
        bars = np.fromfile(files[original], RECORD)
        amount = bars["amount"].astype("f8")
        for number, code in enumerate(codes):
            bars["amount"] = amount * (1 + number * 1e-5)
            target = folder / "vipdoc" / code[:2] / "lday" / f"{code}.day"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(bars.tobytes())
    cache = (folder / gbbq.PLACE).parent
    cache.mkdir(parents=True)
    for file in (source / gbbq.PLACE).parent.iterdir():
        if file.name == gbbq.ROUTE:
            content = encode_gbbq(_copy_events(file, twins))
        elif file.name == LIST:
            content = _copy_list(file.read_bytes(), twins)
        else:
            content = file.read_bytes()
        (cache / file.name).write_bytes(content)
    return list(copies)


def _name_copies(originals: Sequence[str], stocks: int) -> dict[str, str]:
    """Map codes, `stocks` in all, to the original of each."""

    def name_copies() -> Iterator[tuple[str, str]]:
        yield from zip(originals, originals, strict=True)
        free = {board: _name_free_codes(board, originals) for board in BOARDS}
        while True:
            for original in originals:
                yield next(free[original[:4]]), original

    return dict(islice(name_copies(), stocks))


def _name_free_codes(board: str, taken: Sequence[str]) -> Iterator[str]:
    return (code for n in range(1, 10_000) if (code := f"{board}{n:04}") not in taken)


def read_records(file: Path) -> Iterator[Record]:
    """All events of a gbbq, in the form that `encode_gbbq` takes."""
    for row in gbbq.read_events(file).rows.to_pylist():
        first, second, third, fourth = (float(row[name]) for name in gbbq.VALUES)
        day = int(f"{row['event_date']:%Y%m%d}")
        yield row["code"], day, row["category"], (first, second, third, fourth)


def _copy_events(file: Path, twins: dict[str, list[str]]) -> Iterator[Record]:
    for original, day, category, values in read_records(file):
        for code in twins.get(original, ()):
            yield code, day, category, values


def _copy_list(content: bytes, twins: dict[str, list[str]]) -> bytes:
    """Repeat the records of Shenzhen's list: the code is in their first six bytes."""
    size, _ = tnf.LAYOUTS["m"]
    records = (content[at : at + size] for at in range(tnf.HEAD, len(content), size))
    return content[: tnf.HEAD] + b"".join(
        code[2:].encode() + record[6:]
        for record in records
        for code in twins.get(f"sz{record[:6].decode()}", ())
    )
