"""Shards of a load: several processes or machines, each with its part of the keys.

Shard 2/5 takes the keys whose hash leaves the remainder 1 divided by 5. The hash is of the text
alone, so every machine and version agrees. A shard has a lane of its own: its number, whatever the
count, names the lock and the dlt pipeline.
"""

import re
import zlib
from dataclasses import dataclass

from loaders.engine.request import LoadRequest
from loaders.errors import UsageError

OPTION = "shard"
MOST = 1_000
_FORM = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, counted from 1; 1/1 is the whole."""

    number: int = 1
    count: int = 1

    def takes(self, key: str) -> bool:
        return zlib.crc32(key.encode()) % self.count == self.number - 1

    @property
    def is_first(self) -> bool:
        """Whether it is the shard that loads what is of the whole market."""
        return self.number == 1


def read_shard(request: LoadRequest) -> Shard:
    """The shard of a request; the whole where none is named. Raises UsageError."""
    text = request.options.get(OPTION)
    return Shard() if text is None else parse_shard(text)


def parse_shard(text: str) -> Shard:
    """The shard of a text such as 2/5. Raises UsageError."""
    form = _FORM.fullmatch(text)
    number, count = (int(part) for part in form.groups()) if form else (0, 0)
    if not 1 <= number <= count <= MOST:
        raise UsageError(
            f"--shard {text} is not a part of a whole",
            hint=f"--shard 2/5 is the second of five; at most {MOST:,} are possible",
        )
    return Shard(number, count)


def name_lane(source: str, request: LoadRequest) -> str:
    """The lane of a request: the source's own, or that of a shard's number."""
    return f"{source}_{read_shard(request).number}" if OPTION in request.options else source
