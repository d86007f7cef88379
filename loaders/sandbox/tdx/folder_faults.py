"""Faults of a desktop client's folder: files as interrupted downloads and copies leave them."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random

_COUNT, _EVENT, _BAR = 4, 29, 32


def lose_events(gbbq: Path, keep: float) -> None:
    """Leave this share of the records of a gbbq, evenly, with the right count."""
    content = gbbq.read_bytes()
    places = range(_COUNT, len(content), _EVENT)
    left = [at for n, at in enumerate(places) if int((n + 1) * keep) > int(n * keep)]
    records = (content[at : at + _EVENT] for at in left)
    gbbq.write_bytes(len(left).to_bytes(_COUNT, "little") + b"".join(records))


def cut_short(file: Path, keep: float) -> None:
    """Leave this share of a file's bytes, from the first one on."""
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])


def fill_with_garbage(file: Path, seed: int = 1) -> None:
    """Replace a file's content by random bytes, as a broken disk or an encrypted copy has."""
    file.write_bytes(Random(seed).randbytes(file.stat().st_size))


def lose_exchange(vipdoc: Path, exchange: str) -> None:
    """Remove the folder of an exchange, as a share that is not mounted."""
    shutil.rmtree(vipdoc / exchange)


def lose_days(vipdoc: Path, first: date, last: date, *, indices: bool = False) -> None:
    """Cut days out of every day file but those of indices, as a download that broke off."""
    for file in sorted(vipdoc.glob("*/lday/*.day")):
        if indices or not file.name.startswith(("sh000", "sz399")):
            file.write_bytes(b"".join(_bars_outside(file.read_bytes(), first, last)))


def _bars_outside(content: bytes, first: date, last: date) -> Iterator[bytes]:
    for at in range(0, len(content), _BAR):
        day = int.from_bytes(content[at : at + 4], "little")
        if not int(f"{first:%Y%m%d}") <= day <= int(f"{last:%Y%m%d}"):
            yield content[at : at + _BAR]
