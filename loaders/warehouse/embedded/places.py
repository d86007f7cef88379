"""The folders of a home's server, and the user that it runs as."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from loaders.warehouse.embedded import binaries
from loaders.warehouse.embedded.binaries import Account
from loaders.warehouse.embedded.postmaster import socket_path
from quotemill.errors import SettingsError
from quotemill.systems import is_root

SOCKET_LIMIT = 103  # bytes of a socket's path: Linux has room for 107, macOS for 103


def data_directory(home: Path) -> Path:
    return home.resolve() / "postgres"


def server_account(home: Path) -> Account | None:
    """The user of the home's server (None: as we run). Raises SettingsError."""
    if not is_root():
        return None
    home = home.resolve()
    data = home / "postgres"
    account = binaries.account_of_owner(data if is_made(data) else home)
    account = account or binaries.system_account()
    if not binaries.reaches(account, home):
        raise SettingsError(
            f"PostgreSQL does not run as root, and the user {account.name}, which the embedded "
            f"server runs as, cannot reach {home}",
            hint="Run as an ordinary user, or set QUOTEMILL_HOME to a folder that every "
            "user can enter, such as /srv/quotemill.",
        )
    return account


def make_home(home: Path) -> None:
    """Make the home where it is missing. Raises SettingsError.

    The server's user can enter one that root makes, so the data stay inside it.
    """
    try:
        make_folder(home, None)
    except OSError as error:
        raise unusable(home, error) from None


def unusable(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"cannot use the folder {folder}: {error.strerror}",
        hint="Set QUOTEMILL_HOME=<folder> to move all files of the project.",
    )


def make_folder(path: Path, account: Account | None) -> None:
    """Make the folder and those above it that are missing, private in spite of the umask.

    Of root's folders the server's user (None: the system user) may pass through, also of one that
    another command has made for root alone.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in [*reversed(missing)] or [path]:
        with contextlib.suppress(FileExistsError):  # another process was a moment faster
            folder.mkdir(mode=0o700)
        facts = folder.stat()
        is_roots = is_root() and facts.st_uid == 0 and folder != Path("~root").expanduser()
        if is_roots and not facts.st_mode & 0o077:
            os.chown(folder, -1, (account or binaries.system_account()).gid)
            folder.chmod(0o710)


def is_made(data: Path) -> bool:
    """Whether a home's data directory exists. Raises SettingsError if it is another user's."""
    try:
        return (data / "PG_VERSION").exists()
    except PermissionError:
        raise SettingsError(
            f"{data} belongs to another user",
            hint="Run as that user, or set QUOTEMILL_HOME to a folder of your own.",
        ) from None


def logs(base: Path) -> Path:
    return base / "logs" / "postgres"


def size(folder: Path) -> int:
    """Bytes of all files below the folder."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:  # the server removes files meanwhile
                continue
    return total


def write_config(path: Path, text: str, account: Account | None) -> Path:
    """Write a file that the server reads at a start; its path."""
    # never through a link: as root we write into a folder of another user
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        if account:
            os.fchown(handle, account.uid, account.gid)
    return path


def private_folder(path: Path, account: Account | None) -> bool:
    """Make a folder for its owner alone. False if something not private is already there."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        facts = path.lstat()  # never through a link of somebody else
        owner = account.uid if account else os.geteuid()
        return (
            path.is_dir()
            and not path.is_symlink()
            and (facts.st_uid == owner and facts.st_mode & 0o077 == 0)
        )
    if account:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return True


def socket_folder(base: Path, account: Account | None) -> Path:
    """A folder for the socket that only the server's user can enter; its path is short enough."""
    folder = base / "socket"
    fits = len(os.fsencode(socket_path(folder, 65535))) <= SOCKET_LIMIT
    if fits and private_folder(folder, account):
        return folder
    owner = account.uid if account else os.geteuid()
    short = Path("/tmp") / f"quotemill-{owner}-{_digest(base)}"
    if private_folder(short, account):
        return short
    # somebody else holds the name that can be guessed: take one that cannot
    other = Path(tempfile.mkdtemp(prefix="quotemill-", dir="/tmp"))
    if account:
        os.chown(other, account.uid, account.gid)
    return other


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
