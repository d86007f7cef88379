"""Corporate actions from CSV files (docs/datasets/corporate_actions.md has the format)."""

import csv
import difflib
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import orjson

from loaders.landing.no_value import is_unset
from loaders.landing.rejects import Rejected
from loaders.tdx.actions import (
    ADJUSTMENT,
    CATEGORIES,
    PRECISION,
    SPLIT,
    ActionSet,
    CorporateAction,
    Refused,
    number_rows,
)
from loaders.tdx.tables import ACTION_AMOUNTS, ACTION_COUNTS
from loaders.trading_time import FIRST_CHINESE_DAY
from quotemill.errors import SettingsError
from quotemill.foreign import CSV_FILE, read_file

REQUIRED = (
    "code",
    "ex_date",
    "cash_per10_yuan",
    "bonus_total_per10",
    "rights_per10",
    "rights_price_yuan",
)
OPTIONAL = (
    "bonus_per10",
    "transfer_per10",
    *ACTION_COUNTS,
    "adjusts_price",
    "category",
    "split_ratio",
    "source",
    "notes",
)
CODE = re.compile(r"(?:(sh|sz|bj)([0-9]{6})|([0-9]{6})\.(sh|sz|bj))", re.IGNORECASE)
ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
YES_NO = {"y": True, "n": False, "": None}


def read_actions(source: Path, codes: Sequence[str]) -> ActionSet:
    """Read the actions of `codes` ('sh600000') from a CSV file or a folder of *.csv.

    A bad row is rejected; the good ones stay. Raises SettingsError for an unusable path or header.
    """
    rows: list[CorporateAction] = []
    rejected: list[Rejected] = []
    unknown: list[str] = []
    doubtful: set[str | None] = set()
    places: dict[tuple[str, date, int], CorporateAction] = {}
    contents: dict[tuple[object, ...], CorporateAction] = {}
    for path in _list_files(source):
        header, lines = _open_csv(path)
        unknown += [f"{path.name}: {c}" for c in header if c not in REQUIRED + OPTIONAL]
        for number, cells in lines:
            place = f"{path.name}:{number}"
            record: Mapping[str, str] = {}
            try:
                record = _record(header, cells)
                row = _action(record, place)
                _once_only(row, path.name, places, contents)
                rows.append(row)
            except Refused as refused:
                doubtful.add(_code_or_none(record.get("code", "")))
                payload = orjson.dumps(dict(record) or cells, default=str).decode()
                name, rule, value = refused.args
                # text in PostgreSQL cannot hold NUL; the payload has the whole row
                shown = value[:200].replace("\0", "\\0")
                rejected.append(Rejected(place, name, rule, shown, payload))
    wanted = set(codes)
    return ActionSet(
        rows=number_rows([r for r in rows if r.code in wanted]),
        rejected=rejected,
        covers=frozenset() if None in doubtful else frozenset(wanted - doubtful),
        unknown_columns=tuple(unknown),
        version=f"{zlib.crc32(repr(sorted(map(repr, contents))).encode()):08x}",
    )


def _list_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SettingsError(
            f"tdx.corporate_actions: {path} does not exist",
            hint="Use a CSV file, or a folder of CSV files, with the columns "
            f"{', '.join(REQUIRED)}.",
        )
    files = sorted(p for p in path.glob("*.csv") if p.is_file())
    if not files:
        raise SettingsError(f"tdx.corporate_actions: the folder {path} has no *.csv")
    return files


def _open_csv(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str] | str]]]:
    """The header and the rows, each with its line number.

    A row is one line, so a stray quote cannot swallow the rest; a line that is not CSV stays text.
    """
    raw = read_file(path, CSV_FILE, SettingsError)
    lines = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    first = _cells(lines[0])
    header = [] if isinstance(first, str) else [c.strip().lower() for c in first]
    _check_header(path, header)

    def rows() -> Iterator[tuple[int, list[str] | str]]:
        for number, line in enumerate(lines[1:], start=2):
            if line.strip():
                yield number, _cells(line)

    return header, rows()


def _cells(line: bytes) -> list[str] | str:
    try:
        text = line.rstrip(b"\r").decode("utf-8")
        return [cell.strip() for cell in next(csv.reader([text], strict=True), [])]
    except (UnicodeDecodeError, csv.Error):
        return line.decode("utf-8", "backslashreplace")


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [c for c in REQUIRED if c not in header]
    if missing:
        raise SettingsError(
            f"{path}: missing columns: {', '.join(missing)}",
            hint=f"Use a comma-separated UTF-8 file with the columns {', '.join(REQUIRED)}. Its "
            f"header is: {', '.join(header)[:200] or 'empty'}",
        )
    twice = sorted({c for c in header if header.count(c) > 1})
    if twice:
        raise SettingsError(f"{path}: columns appear more than once: {', '.join(twice)}")
    absent = [c for c in OPTIONAL if c not in header]
    for column in header:
        near = difflib.get_close_matches(column, absent, n=1, cutoff=0.8)
        if column not in REQUIRED + OPTIONAL and near:
            raise SettingsError(f"{path}: unknown column {column}; did you mean {near[0]}?")


def _record(header: Sequence[str], cells: list[str] | str) -> dict[str, str]:
    if isinstance(cells, str):
        raise Refused("row", "must be one line of comma-separated UTF-8 text", cells)
    if len(cells) != len(header):
        rule = f"must have {len(header)} cells as the header has"
        raise Refused("row", rule, f"{len(cells)} cells")
    return {n: "" if is_unset(cell) else cell for n, cell in zip(header, cells, strict=True)}


def _action(record: Mapping[str, str], place: str) -> CorporateAction:
    code = _code_or_none(record["code"])
    if code is None:
        raise Refused("code", "must look like sh600000, SH600000 or 600000.SH", record["code"])
    numbers = {name: _number(record, name) for name in PRECISION}
    category = _category(record)
    _check_sense(record, category, numbers)
    adjusts = record.get("adjusts_price", "")
    if adjusts.lower() not in YES_NO:
        raise Refused("adjusts_price", "must be Y, N or empty", adjusts)
    return CorporateAction(
        code=code,
        ex_date=_day(record["ex_date"]),
        source="csv",
        category=category,
        source_ref=place,
        seq=0,
        **numbers,
        adjusts_price=YES_NO[adjusts.lower()],
    )


def _code_or_none(text: str) -> str | None:
    match = CODE.fullmatch(text)
    if not match:
        return None
    exchange, digits = match[1] or match[4], match[2] or match[3]
    return exchange.lower() + digits


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text) if ISO_DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise Refused("ex_date", "must be a day in the form 2011-06-03", text)
    if day < FIRST_CHINESE_DAY:
        raise Refused("ex_date", f"no exchange traded before {FIRST_CHINESE_DAY}", text)
    return day


def _number(record: Mapping[str, str], name: str) -> Decimal | None:
    text = record.get(name, "")
    if text == "":
        if name in REQUIRED:
            raise Refused(name, "must not be empty; write 0 for none", text)
        return None
    if not NUMBER.fullmatch(text):
        raise Refused(name, "must be a plain decimal number like 1.5", text)
    value = Decimal(text)
    digits, places = PRECISION[name]
    if text.startswith("-"):
        raise Refused(name, "must not be negative", text)
    if len(text.partition(".")[2].rstrip("0")) > places:
        raise Refused(name, f"must have at most {places} decimals", text)
    if value >= 10 ** (digits - places):
        raise Refused(name, f"must have at most {digits - places} digits before the point", text)
    return value


def _category(record: Mapping[str, str]) -> int:
    text = record.get("category", "")
    if text == "":
        return ADJUSTMENT
    if not (re.fullmatch("[0-9]{1,4}", text) and int(text) in CATEGORIES):
        raise Refused("category", "must be a whole number from 1 to 15", text)
    return int(text)


def _check_sense(
    record: Mapping[str, str], category: int, numbers: Mapping[str, Decimal | None]
) -> None:
    """Check the rules between the fields of one row. Raises Refused."""
    bonus, transfer = numbers["bonus_per10"], numbers["transfer_per10"]
    total = numbers["bonus_total_per10"]
    if bonus is not None and transfer is not None and bonus + transfer != total:
        rule = "must be bonus_per10 + transfer_per10"
        raise Refused("bonus_total_per10", rule, record["bonus_total_per10"])
    if category != ADJUSTMENT:
        for name in ACTION_AMOUNTS:
            if numbers[name]:
                rule = f"must be 0 in a row of category {category}"
                raise Refused(name, rule, record[name])
    ratio = numbers["split_ratio"]
    if (category == SPLIT) != (ratio is not None) or ratio == 0:
        rule = "must be above 0 in a row of category 11, and empty in any other"
        raise Refused("split_ratio", rule, record.get("split_ratio", ""))


def _once_only(
    row: CorporateAction,
    file: str,
    places: dict[tuple[str, date, int], CorporateAction],
    contents: dict[tuple[object, ...], CorporateAction],
) -> None:
    """Refuse an event read before, as rows of a day add up. Raises Refused."""
    twin = contents.setdefault(row.content(), row)
    if twin is not row:
        raise Refused("row", f"repeats {twin.source_ref}", row.source_ref)
    first = places.setdefault((row.code, row.ex_date, row.category), row)
    if first.source_ref.rpartition(":")[0] != file:
        rule = f"{first.source_ref} has this code, day and category already, in another file"
        raise Refused("row", rule, row.source_ref)
