"""Scan of the log: problems by keyword, level and source, with first and last.

A keyword counts lines of level `warning` and above whose text has one of its words, so a plain
line that quotes an error does not count. `error` and `traceback` depend on the fields of a line,
not on its words. Only errors fail a scan, unless `max_total` limits the number of lines with a
keyword. A scan without any line fails too.

A scan that continues after the last one (`read_last`, `store`) counts each error once, however long
the pause. It also knows the kinds of errors of the scans before it, back to the last scan without
errors.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter

from loaders import log, sources
from loaders.check import Check, failed
from orchestration.checks.result_file import write_result
from quotemill.errors import DataQualityError, UsageError

LEAST = "warning"
LONGEST = 1_000_000  # bytes of a line; a longer one is damaged
SHOWN = 300  # characters of an example
MOST = 500  # kinds of errors that are stored
_LAST = "logscan.json"  # in the home: the last scan of each source
# words with a digit are counts, codes, times; a number before a colon identifies the error
_VARIES = re.compile(r"(?<!\S)(?!\d+:)\S*\d\S*")
ERROR, TRACEBACK = "error", "traceback"
SOURCE_AT = b'"source_at"'
# words to search for in lines of any source
COMMON: Mapping[str, tuple[str, ...]] = {
    "lock": ("holds the lock", "lockheld"),
    "warehouse": (
        "warehouseaway",
        "warehouse is away",
        "the warehouse cannot",
        "connection to server",
    ),
    "rejected": ("rejected", "refused row", "breaks the rule"),
}
DBT_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "test": ("got ", "fail "),
    "model": ("database error", "compilation error"),
}


@cache
def _keywords(source: str) -> Mapping[str, Sequence[str]]:
    """Keywords for lines of a source or of dbt."""
    if source == "dbt":
        return {**COMMON, **DBT_KEYWORDS}
    own = sources.find(source).insight.log_keywords if source in sources.MODULES else {}
    return {**COMMON, **own}


def _mask(text: str) -> str:
    """Remove secrets and the private data of each source from a text."""
    text = log.scrub(text)
    for name in sources.MODULES:
        text = sources.find(name).insight.mask(text)
    return text


@dataclass
class Hits:
    """Lines with a keyword.

    `first` and `last` are texts without secrets, at most SHOWN characters.
    """

    count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    first: str = ""
    last: str = ""
    by_source: dict[str, int] = field(default_factory=dict)

    def check(self, word: str) -> Check:
        sources_of_word = ", ".join(f"{name} {count:,}" for name, count in self.by_source.items())
        text = f"{self.count:,} lines ({sources_of_word})"
        return Check(
            word, "warn", f"{text}, the newest {self.last_at:%Y-%m-%d %H:%M:%S} UTC: {self.last}"
        )

    def add(self, line: "Line") -> None:
        self.count += 1
        self.by_source[line.source] = self.by_source.get(line.source, 0) + 1
        if self.first_at is None or line.at < self.first_at:
            self.first_at, self.first = line.at, line.excerpt
        if self.last_at is None or line.at >= self.last_at:
            self.last_at, self.last = line.at, line.excerpt


@dataclass(frozen=True)
class Line:
    """A readable line of the log; `text` is event and detail, case-folded."""

    at: datetime
    level: str
    source: str
    event: str
    text: str
    traceback: str

    @property
    def excerpt(self) -> str:
        return _mask(self.event)[:SHOWN]

    @property
    def kind(self) -> str:
        """Source and event without codes, counts and times: equal for errors of one kind."""
        return f"{self.source}: {_VARIES.sub('#', self.excerpt)}"

    def reaches(self, level: str) -> bool:
        return log.LEVELS.index(self.level) >= log.LEVELS.index(level)


@dataclass
class Scan:
    """Result of a scan of the lines with `since` ≤ time < `until`.

    files      lines of each file
    lines      readable lines in the window
    damaged    lines that cannot be read
    matching   lines with any keyword
    errors     lines of level error and above
    kinds      the same by kind of error
    keywords   lines by keyword
    levels     all lines by source and level
    max_total  limit of `matching`; None: any error fails the scan
    """

    since: datetime
    until: datetime
    files: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    damaged: int = 0
    matching: int = 0
    errors: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    keywords: dict[str, Hits] = field(default_factory=dict)
    levels: dict[str, dict[str, int]] = field(default_factory=dict)
    max_total: int | None = None

    @property
    def status(self) -> str:
        if not self.lines:
            return "empty"
        return "found" if self.matching else "clean"

    @property
    def exit_code(self) -> int:
        wrong = self.errors > 0 if self.max_total is None else self.matching > self.max_total
        return DataQualityError.exit_code if wrong or self.status == "empty" else 0

    @property
    def checks(self) -> list[Check]:
        """The lines in the window, then each keyword, the most frequent first."""
        window = f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        parts = [f"{self.damaged:,} damaged"] if self.damaged else []
        for source, levels in sorted(self.levels.items()):
            counts = [f"{levels[level]:,} {level}" for level in log.LEVELS if level in levels]
            parts.append(f"{source} {', '.join(counts)}")
        check = Check("log", "ok", "; ".join([f"{self.lines:,} lines of {window}", *parts]))
        if not self.lines:
            where = f"in {len(self.files)} files" if self.files else "and no file"
            text = f"no log line from {window} {where}: nothing ran, or it logged elsewhere"
            hint = "Set QUOTEMILL_HOME to the home of the log, or add --date or --since."
            check = failed("log", DataQualityError(text, hint=hint))
        elif self.exit_code:
            count, what = (self.errors, "are errors")
            if self.max_total is not None:
                count, what = (self.matching, "contain a keyword")
            text = "; ".join([f"{count:,} lines of {window} {what}", *parts])
            check = failed("log", DataQualityError(text, hint="Run `quotemill status`."))
        words = sorted(self.keywords.items(), key=lambda item: -item[1].count)
        return [check, *(hits.check(word) for word, hits in words)]

    def as_json(self) -> dict[str, Any]:
        values = {"found" if n == "matching" else n: v for n, v in asdict(self).items()}
        checks = [check.as_json() for check in self.checks]
        return {"status": self.status, **values, "exit_code": self.exit_code, "checks": checks}


def run(
    folder: Path,
    since: datetime,
    until: datetime,
    *,
    source: str | None = None,
    keywords: Sequence[str] = (),
    level: str = LEAST,
    max_total: int | None = None,
    is_day: bool = False,
) -> Scan:
    """Scan the log in `folder` for the built-in keywords and `keywords`.

    With `source` only its lines count; with `is_day` at the time of the source's clock where they
    have it, in whatever file: those of a sandbox's day. Raises UsageError for a file that is
    unreadable, and as `split_keywords`.
    """
    scan, own = Scan(since, until, max_total=max_total), split_keywords(keywords)
    chosen = list_files(folder, since, until)
    others = sorted(set(folder.glob(log.FILES)) - set(chosen)) if is_day else []
    for path in [*chosen, *others]:
        if path in chosen:
            scan.files[str(path)] = 0
        try:
            with path.open("rb") as file:
                for raw in _lines(file):
                    if path in others and (raw is None or SOURCE_AT not in raw):
                        continue
                    scan.files[str(path)] = scan.files.get(str(path), 0) + 1
                    _count(scan, raw, source, own, level, is_day=is_day)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return scan


def split_keywords(texts: Sequence[str]) -> tuple[str, ...]:
    """The words of `A,B`, case-folded. Raises UsageError for one that no line can have."""
    words = [word.strip() for text in texts for word in text.split(",")]
    for word in words:
        if not word:
            raise UsageError("a keyword is empty")
        if not word.isprintable() or _mask(word) != word:
            raise UsageError(
                f"keyword {word!r} matches no line",
                hint="Leave out line breaks, secrets and account numbers, which no line has.",
            )
    return tuple(dict.fromkeys(word.casefold() for word in words))


def list_files(folder: Path, since: datetime, until: datetime) -> list[Path]:
    """Log files of the UTC days that the window touches."""
    first, last = (f"{at:%Y-%m-%d}" for at in (since, until - timedelta(microseconds=1)))
    files = sorted(folder.glob(log.FILES))
    return [p for p in files if (day := log.file_day(p.name)) and first <= day <= last]


def read_lines(
    folder: Path, since: datetime, until: datetime, field: str, value: str | int
) -> list[dict[str, Any]]:
    """The lines with `since` ≤ time < `until` whose field has a value; damaged ones are left out.

    Raises UsageError for a file that cannot be read.
    """
    lines = []
    written = f'"{field}": {json.dumps(value)}'.encode()  # most lines need no reading
    for path in list_files(folder, since, until):
        try:
            with path.open("rb") as file:
                for raw in _lines(file):
                    if raw is None or written not in raw:
                        continue
                    line = _read(raw)
                    if line is None or not since <= line.at < until:
                        continue
                    fields = json.loads(raw)
                    if fields.get(field) == value:
                        lines.append(fields)
        except FileNotFoundError:  # deleted meanwhile, as it was too old
            continue
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return lines


@dataclass(frozen=True)
class Last:
    """End of a scan, and the kinds of errors in it and in the scans before it."""

    until: datetime
    kinds: tuple[str, ...] = ()


def read_last(home: Path, source: str | None) -> Last | None:
    """The last stored scan of a source; of all sources for None."""
    return _read_stored(home).get(source or "")


def store(home: Path, source: str | None, scanned: Last) -> None:
    """Store a scan, so that the next one starts where it ended. Raises QuotemillError."""
    scans = _read_stored(home) | {source or "": scanned}
    write_result(home / _LAST, {name: asdict(scan) for name, scan in scans.items()})


def list_known_kinds(before: Last | None, scan: Scan) -> tuple[str, ...]:
    """Kinds of errors in this scan and those before it; empty after a clean scan."""
    known = before.kinds if before and scan.errors else ()
    return tuple(dict.fromkeys([*known, *scan.kinds]))[:MOST]


def _read_stored(home: Path) -> dict[str, Last]:
    """Stored scans by source.

    Empty if the file is missing or damaged: scanning twice is better than not at all.
    """
    try:
        return TypeAdapter(dict[str, Last]).validate_json((home / _LAST).read_bytes())
    except (OSError, ValueError):
        return {}


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines that are not empty; None for one longer than LONGEST."""
    while raw := file.readline(LONGEST):
        if len(raw) == LONGEST and not raw.endswith(b"\n"):
            while (more := file.readline(LONGEST)) and not more.endswith(b"\n"):
                pass
            yield None
        elif raw.strip():
            yield raw


def _count(
    scan: Scan,
    raw: bytes | None,
    source: str | None,
    own: Sequence[str],
    level: str,
    *,
    is_day: bool,
) -> None:
    line = _read(raw, by_source=is_day)
    if line is None:
        scan.damaged += 1
        return
    if not scan.since <= line.at < scan.until or source not in (None, line.source):
        return
    scan.lines += 1
    levels = scan.levels.setdefault(line.source, {})
    levels[line.level] = levels.get(line.level, 0) + 1
    hits = _find_keywords(line, own) if line.reaches(level) else []
    scan.matching += bool(hits)
    if line.reaches(ERROR):
        scan.errors += 1
        scan.kinds[line.kind] = scan.kinds.get(line.kind, 0) + 1
    for word in hits:
        scan.keywords.setdefault(word, Hits()).add(line)


def _find_keywords(line: Line, own: Sequence[str]) -> list[str]:
    """Keywords whose words are in a line."""
    words = _keywords(line.source).items()
    hits = [word for word, parts in words if any(part in line.text for part in parts)]
    hits += [ERROR] if line.reaches(ERROR) else []
    hits += [TRACEBACK] if line.traceback else []
    whole = line.text + line.traceback
    return hits + [word for word in own if word not in hits and word in whole]


def _read(raw: bytes | None, *, by_source: bool = False) -> Line | None:
    try:
        fields = json.loads(raw or b"")
        at = datetime.fromisoformat((by_source and fields.get("source_at")) or fields["at"])
        level = fields["level"].lower()
        event = fields["event"]
        source = fields.get("source") or "-"
        detail, traceback = fields.get("detail"), str(fields.get("traceback") or "")
        if level not in log.LEVELS or not isinstance(event, str) or not isinstance(source, str):
            return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    text = f"{event} {json.dumps(detail, ensure_ascii=False) if detail else ''}"
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return Line(at, level, source, event, text.casefold(), traceback.casefold())
