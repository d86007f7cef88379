"""The files in seeds/ as people edit them, checked before dbt reads one.

dbt names neither file nor line of what it cannot read. The rules about values are data tests of the
seeds (seeds/_seeds.yml).
"""

import csv
import io
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import yaml

from quotemill.errors import SettingsError
from quotemill.foreign import CSV_FILE, read_file

_NULL = ("", "null")  # as dbt reads a cell
# as SQL reads it in any session: 1,5 and 1e5 are no numbers here
_FORMS = {
    "integer": (re.compile(r"-?[0-9]{1,9}"), "a whole number"),
    "numeric": (re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?"), "a plain decimal number such as 1.5"),
    "date": (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "a day such as 2024-06-03"),
}


def check_seeds(seeds: Path) -> None:
    """Check each file of the folder that dbt loads.

    Raises SettingsError with file and line for one that is missing, not UTF-8, without its header,
    or with a line that has another number of cells or a cell that is not of its column's type.
    """
    described = yaml.safe_load((seeds / "_seeds.yml").read_text("utf-8"))["seeds"]
    for seed in described:
        check_file(seeds / f"{seed['name']}.csv", seed["config"]["column_types"])


def check_file(path: Path, types: Mapping[str, str]) -> None:
    """Check one file by the types of its columns. Raises SettingsError as `check_seeds` does."""
    place = f"seeds/{path.name}"
    if not path.exists():
        raise SettingsError(f"{place} is missing", hint=f"Run `git checkout {place}`.")
    content = read_file(path, CSV_FILE, SettingsError)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refuse(place, line, "it is not UTF-8 text", "save the file as UTF-8") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for number, cells in enumerate(rows):
            line = rows.line_num
            if number == 0 and cells != list(types):
                header = ",".join(types)
                raise _refuse(place, line, f"the header must be {header}", "correct the header")
            if len(cells) != len(types):
                problem = f"it has {len(cells)} cells, the header has {len(types)}"
                fix = "quote a cell that has a comma" if cells else "delete the empty line"
                raise _refuse(place, line, problem, fix)
            for (name, type_), cell in zip(types.items(), cells, strict=True):
                if number and (wanted := _find_form(type_, cell)):
                    problem = f"{name} is not {wanted}: {cell[:40]!r}"
                    raise _refuse(place, line, problem, "correct the cell")
    except csv.Error as error:
        raise _refuse(place, rows.line_num, str(error), "correct the line") from None
    if not rows.line_num:
        raise _refuse(place, 1, "the file is empty", f"run git checkout {place}")


def _find_form(type_: str, cell: str) -> str | None:
    """What a cell of this type has to be; None if it is that."""
    if "\0" in cell:
        return "text without null bytes"
    form, words = _FORMS.get(type_.partition("(")[0], (None, ""))
    if form is None or cell in _NULL:
        return None
    if form.fullmatch(cell) and (type_ != "date" or _is_day(cell)):
        return None
    return words


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _refuse(place: str, line: int, problem: str, hint: str) -> SettingsError:
    return SettingsError(f"{place}, line {line}: {problem}", hint=f"{hint}, then run it again")
