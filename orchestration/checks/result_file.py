"""The files in which checks leave their results."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from loaders.files import whole_file
from quotemill.errors import QuotemillError


def name_file(home: Path, folder: str, kind: str, day: date) -> Path:
    """The file of a day, below the log's folder: logs/errors/summary_20261120.json."""
    return home / "logs" / folder / f"{kind}_{day:%Y%m%d}.json"


def write_result(path: Path, result: Any) -> None:
    """Write a result as JSON, or leave the file as it was. Raises QuotemillError."""
    text = json.dumps(result, ensure_ascii=False, indent=2, default=str) + "\n"
    hint = "Choose a file in a folder that this user can write to."
    with whole_file.explain_unwritable(path, hint=hint, error=QuotemillError):
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, text)
