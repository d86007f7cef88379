"""Faults of a desktop client's folder: files as interrupted downloads and copies leave them."""

import shutil
from pathlib import Path
from random import Random

_COUNT, _EVENT = 4, 29


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


def fill_with_garbage(file: Path) -> None:
    """Replace a file's content by random bytes, as a broken disk or an encrypted copy has."""
    file.write_bytes(Random(1).randbytes(file.stat().st_size))


def lose_exchange(vipdoc: Path, exchange: str) -> None:
    """Remove the folder of an exchange, as a share that is not mounted."""
    shutil.rmtree(vipdoc / exchange)
