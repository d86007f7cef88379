"""Secrets that tests put into settings, and the search for them in all that commands wrote."""

import json
import os
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import make_conninfo

SECRETS = (
    "planted9f3e7a1c5b",  # in the address of an alert channel
    "sandbox-password",  # of the futures sandbox
    "very-secret",
    "ss-word",
    "p@ss:/w'd\"\\ {{x}}%41#?&",  # of the foreign server's writer
)
AWKWARD_PASSWORD = SECRETS[-1]


def find_secrets(folder: Path) -> list[str]:
    """The files below a folder that hold one of the secrets, with which one."""
    written = (".jsonl", ".log", ".html", ".md")  # what people and their tools read
    # nothing of these is for reading
    elsewhere = {"base", "pg_wal", "pipelines", "target", "site-packages"}
    forms = {
        form
        for secret in SECRETS
        for form in (
            secret,
            quote(secret, safe=""),
            json.dumps(secret)[1:-1],
            make_conninfo(password=secret).removeprefix("password=").strip("'"),
        )
    }
    leaks = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in elsewhere]
        for name in names:
            file = Path(place) / name
            # a pipe that a test made would be waited for
            if (name.endswith(written) or name == "alerts.json") and file.is_file():
                text = file.read_bytes()
                leaks += [f"{file}: {s}" for s in forms if s.encode() in text]
    return leaks
