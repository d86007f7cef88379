"""The folders of a home's server, and the user that it runs as.

The data are in the home. Root's server runs as another user: where that one cannot reach the home,
they are in a folder below /var/lib/quotemill that the file `postgres.place` of the home names and
that names the home in turn, so a new home at the same place does not get them.
"""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loaders.errors import SettingsError
from loaders.warehouse.embedded import binaries
from loaders.warehouse.embedded.binaries import SYSTEM_ROOT, Account
from loaders.warehouse.embedded.postmaster import socket_path

SOCKET_LIMIT = 103  # bytes of a socket's path: Linux has room for 107, macOS for 103
POINTER = "postgres.place"  # in a home: name of the folder below SYSTEM_ROOT with its data
OWNER = "HOME"  # in that folder: the home


@dataclass(frozen=True)
class Orphan:
    """Data below /var/lib/quotemill that no home points to: its home was removed."""

    folder: Path
    home: Path
    size_bytes: int


def candidates(home: Path) -> Iterator[Path]:
    """The possible data directories of a home, the likelier first.

    Raises SettingsError where data are below SYSTEM_ROOT and their home is not clear.
    """
    home = home.resolve()
    yield home / "postgres"
    base = _system_base(home)
    if base is not None:
        yield base / "postgres"


def existing_base(home: Path) -> Path:
    """The folder that holds the data directory; the home before there is a data directory."""
    return next((data.parent for data in candidates(home) if is_made(data)), home.resolve())


def base(home: Path) -> tuple[Path, Account | None]:
    """The folder of the server's folders, made if need be, and its user (None: as we run)."""
    home = home.resolve()
    if os.geteuid() != 0:
        return home, None
    existing = existing_base(home)
    if is_made(existing / "postgres"):
        account = binaries.account_of_owner(existing / "postgres") or binaries.system_account()
        if not binaries.reaches(account, existing / "postgres"):
            raise SettingsError(
                f"the user {account.name}, which the embedded server runs as, "
                f"can no longer reach its data in {existing / 'postgres'}",
                hint="restore the modes of the folders above it",
            )
        if existing != home:
            (existing / OWNER).write_text(f"{home}\n")  # it may have moved
        return existing, account
    account = binaries.account_of_owner(home) or binaries.system_account()
    if binaries.reaches(account, home):
        return home, account
    return _make_system_base(home), account


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
        f"the folder {folder} cannot be used: {error.strerror}",
        hint="QUOTEMILL_HOME=<folder> moves everything the project writes",
    )


def make_folder(path: Path, account: Account | None) -> None:
    """Make the folder and those above it that are missing, private in spite of the umask.

    Of root's folders the server's user (None: the system user) may pass through.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # another process was a moment faster
            continue
        if os.geteuid() == 0:
            os.chown(folder, -1, (account or binaries.system_account()).gid)
            folder.chmod(0o710)


def is_made(data: Path) -> bool:
    try:
        return (data / "PG_VERSION").exists()
    except PermissionError:
        raise SettingsError(
            f"{data} belongs to another user",
            hint="run as that user, or set QUOTEMILL_HOME to a folder of your own",
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


def orphans() -> list[Orphan]:
    """Data that no home points to (any more); for root, as only root makes them."""
    if os.geteuid() != 0 or not SYSTEM_ROOT.is_dir():
        return []
    return [
        Orphan(folder, home, size(folder))
        for folder in sorted(SYSTEM_ROOT.iterdir())
        if is_made(folder / "postgres")
        and (home := _home_of(folder)) is not None
        and _pointer(home) != folder.name
    ]


def _system_base(home: Path) -> Path | None:
    """The folder below SYSTEM_ROOT that the home names."""
    if os.geteuid() != 0:
        return None
    name = _pointer(home)
    if name is None:
        earlier = SYSTEM_ROOT / _digest(home)  # the name that it had before homes had a pointer
        if is_made(earlier / "postgres"):
            if (home / "pipelines").is_dir():  # the very home that loaded into them
                return earlier
            raise SettingsError(
                f"{earlier} holds the data of an earlier home {home}",
                hint=f"`echo {earlier.name} > {home / POINTER}` takes them over, "
                f"`rm -r {earlier}` deletes them",
            )
        return None
    base = SYSTEM_ROOT / name
    other = _home_of(base)
    if other is not None and other.resolve() != home and _pointer(other) == name:
        raise SettingsError(
            f"the data in {base} belong to the home {other}, of which {home} is a copy",
            hint=f"remove {home / POINTER}: this home then gets an own warehouse",
        )
    return base


def _make_system_base(home: Path) -> Path:
    binaries.make_system_root()
    name = _pointer(home) or secrets.token_hex(8)
    base = SYSTEM_ROOT / name
    base.mkdir(exist_ok=True)
    base.chmod(0o755)
    (base / OWNER).write_text(f"{home}\n")
    (home / POINTER).write_text(f"{name}\n")
    return base


def _pointer(home: Path) -> str | None:
    try:
        name = (home / POINTER).read_text().strip()
    except OSError:
        return None
    return name if re.fullmatch(r"[0-9a-f]{16}", name) else None


def _home_of(base: Path) -> Path | None:
    try:
        return Path((base / OWNER).read_text().strip())
    except OSError:
        return None


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
