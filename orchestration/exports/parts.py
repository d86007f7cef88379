"""The parts of an export: months, codes, or all of it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import quote

import psycopg
import pyarrow as pa

from orchestration.exports.feed import Span
from orchestration.exports.source import Source, explaining, list_days
from quotemill.errors import UsageError
from quotemill.readers.arrow import stream_rows

WHOLE, DAYLESS = "all", "none"
_LONGEST = 240  # bytes, of the 255 of a name; an unfinished file's is longer
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # of Windows


@dataclass(frozen=True)
class Part:
    """Rows that share their files.

    name: `2024-01`, a code, or one of WHOLE and DAYLESS
    days: the first day, and the one after the last
    """

    name: str
    code: str | None = None
    days: tuple[date, date] | None = None

    @property
    def is_dayless(self) -> bool:
        return self.name == DAYLESS


def list_months(conn: psycopg.Connection, source: Source) -> list[Part]:
    """The months from the first day to the last, and the rows without one; WHOLE without days."""
    if source.day is None:
        return [Part(WHOLE)]
    with explaining():
        query, values = source.select(f"min({source.day}), max({source.day})")
        [(first, last)] = conn.execute(query.encode(), values)
        query, values = source.select("1", dayless=True)
        is_dayless = source.since is None and conn.execute(
            f"select exists ({query})".encode(), values
        ).fetchone() == (True,)
    parts = [Part(DAYLESS)] if is_dayless else []
    month = first and first.replace(day=1)
    while month is not None and month <= last:
        after = (month + timedelta(days=31)).replace(day=1)
        parts.append(Part(f"{month:%Y-%m}", days=(month, after)))
        month = after
    return parts


def list_codes(conn: psycopg.Connection, source: Source) -> list[Part]:
    """The codes that have rows; WHOLE for rows without a column of codes."""
    if source.entity is None:
        return [Part(WHOLE)]
    with explaining():
        query, values = source.select(f"distinct {source.entity}::text")
        codes = [code for (code,) in conn.execute(query.encode(), values)]
    if None in codes:
        raise UsageError(
            f"some rows have no {source.entity}", hint=f"Add `where {source.entity} is not null`."
        )
    return require_names(Part(code, code) for code in sorted(codes))


def name_file(part: Part) -> str:
    """A part's name as that of a file or folder, on every system."""
    name = quote(part.name, safe="")
    return f"%{ord(name[0]):02X}{name[1:]}" if _DEVICE.match(name) else name


def require_names(parts: Iterable[Part]) -> list[Part]:
    """The parts. Raises UsageError where the codes of some give no files of their own."""
    seen: dict[str, Part] = {}
    for part in parts:
        name = name_file(part)
        if len(name) > _LONGEST:
            reason = f"the code {part.name[:40]}… is too long for a file name"
        elif (other := seen.setdefault(name.lower(), part)) is not part:
            reason = f"the codes {other.name} and {part.name} would have the same file name"
        else:
            continue
        raise UsageError(reason, hint="Use --to parquet, which has a file per month.")
    return list(seen.values())


def choose_changed(parts: list[Part], source: Source, spans: Sequence[Span] | None) -> list[Part]:
    """The parts that changes concern; None: all of them."""
    if spans is None:
        return parts
    if source.entity == "code":  # what the feed names in tables of codes
        spans = [span for span in spans if not source.codes or span[0] in ("", *source.codes)]
        codes = {code for code, _, _ in spans}
    else:
        codes = {"" for _ in spans}
    days = {(first or date.min, last or date.max) for _, first, last in spans}

    def is_touched(part: Part) -> bool:
        if part.code is not None:
            return not codes.isdisjoint(("", part.code))
        if part.days is None:
            return bool(spans)
        start, after = part.days
        return any(first < after and last >= start for first, last in days)

    return [part for part in parts if is_touched(part)]


def stream_part(conn: psycopg.Connection, source: Source, part: Part) -> pa.RecordBatchReader:
    """The rows of a part, in order, in batches."""
    spans: list[tuple[date, date] | None] = [part.days]
    if part.days and source.is_long:
        spans = list(list_days(*part.days))
    with explaining():
        queries = (
            source.select(code=part.code, days=days, dayless=part.is_dayless) for days in spans
        )
        readers = (stream_rows(conn, *query, as_float=not source.is_exact) for query in queries)
        first = next(readers)

    def read() -> Iterator[pa.RecordBatch]:
        with explaining():
            yield from first
            for reader in readers:
                yield from reader

    return pa.RecordBatchReader.from_batches(first.schema, read())
