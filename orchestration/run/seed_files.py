"""Files of seeds that dbt cannot read: it is given a copy in which their other lines count.

dbt parses no project with a file that is not UTF-8 or is missing, names no line, and reads no file
that begins with an empty line. macros/materializations/seed.sql judges the rest.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# dbt_project.yml has the folder of seeds from here, or the project's own
FOLDER = "QUOTEMILL_SEEDS"
# those that users edit, whose lines are judged one by one
EDITED = (
    "corporate_action_overrides",
    "us_corporate_actions",
    "code_changes_known",
    "price_limits",
)


def readable_content(path: Path) -> str | None:
    """The content of a file as dbt can read it; None if it can already.

    Bytes that are not UTF-8 become U+FFFD, which the models refuse by line (seed_line_rules). A
    file without a first line gets one without a name, so that the lines of before count.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ",\n"
    text = content.decode("utf-8-sig", errors="replace")
    first = text.partition("\n")[0].strip("\r")
    is_readable = first and "\ufffd" not in text
    return None if is_readable else text if first else "," + text


@contextlib.contextmanager
def readable_seeds(seeds: Path, copies: Path) -> Iterator[None]:
    """Let dbt read `seeds`; where it cannot, a copy in the folder `copies`."""
    contents = {name: readable_content(seeds / f"{name}.csv") for name in EDITED}
    changed = {name: text for name, text in contents.items() if text is not None}
    if not changed:
        yield
        return
    shutil.copytree(seeds, copies, dirs_exist_ok=True)
    for name, text in changed.items():
        (copies / f"{name}.csv").write_text(text, "utf-8")
    os.environ[FOLDER] = str(copies)
    try:
        yield
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(copies)
