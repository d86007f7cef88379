"""Who may connect to a server that listens at an address of this machine."""

import os
from pathlib import Path

from loaders.warehouse.embedded.binaries import Account

READER = "quotemill_reader"
FILE = "quotemill_hba.conf"
_RULES = f"""\
# written by quotemill at each start with server.listen; pg_hba.conf, which comes after, is yours
host postgres {READER} 127.0.0.0/8 scram-sha-256
host postgres {READER} ::1/128 scram-sha-256
host all all all reject
host replication all all reject
include pg_hba.conf
"""


def write_rules(data: Path, account: Account | None) -> Path:
    """Write the file for a start; its path."""
    path = data / FILE
    # never through a link: as root we write into a folder of another user
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(_RULES)
        if account:
            os.fchown(handle, account.uid, account.gid)
    return path
