"""The folder of an export: its files, the manifest that says which, and one writer at a time.

manifest.json names every file with its rows, size and SHA-256. New files keep unfinished names such
as `.part-0.parquet.new` until all are whole; then the manifest is taken away, they get their names,
and it comes back: what it says is there. Without it `.manifest.json` says whose folder this is.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pydantic import TypeAdapter

from loaders.files import folder as folders
from loaders.files import lock, whole_file
from loaders.files.whole_file import hash_file, unfinished
from orchestration.exports.definition import Definition
from quotemill.errors import LockHeldError, QuotemillError, UsageError

MANIFEST, BEGUN = "manifest.json", ".manifest.json"
# what is no file of a form: ours, also while it is written, and a view that older versions made
_BESIDE = re.compile(
    rf"\.?{re.escape(MANIFEST)}|\.{re.escape(BEGUN)}\.\w{{8}}\.new|\.?views\.duckdb(\.new)?(\.wal)?"
)
_FORMAT = 2


@dataclass(frozen=True)
class File:
    """A file that is whole."""

    rows: int
    bytes: int
    sha256: str


Files = Mapping[str, File]  # of a part (a month or a code) by path below the folder; may be empty


@dataclass(frozen=True)
class Manifest:
    """What is known of a folder.

    definition: what it is a copy of
    folder_id: the random name of the folder's cursor
    change_no: the change of the feed up to which the files are
    parts: the files by month or code; one without rows has none
    written_at: when it was whole
    columns: the type of each by name
    """

    definition: Definition
    folder_id: str
    change_no: int
    parts: Mapping[str, Files]
    written_at: str
    columns: Mapping[str, str] = field(default_factory=dict)  # format 1 has none: all is written

    @property
    def rows(self) -> int:
        # the files of a part hold the same rows
        return sum(
            max((file.rows for file in files.values()), default=0) for files in self.parts.values()
        )

    @property
    def files(self) -> dict[str, File]:
        return {name: file for files in self.parts.values() for name, file in files.items()}

    def as_text(self) -> str:
        document = {"quotemill_export": _FORMAT, **asdict(self), "rows": self.rows}
        return json.dumps(document, indent=1, default=str) + "\n"


@dataclass(frozen=True)
class Folder(folders.Folder):
    """A folder that this process alone writes, once it is `locked`."""

    kind: ClassVar[str] = "the export"

    def make_path(self, name: str) -> Path:
        """The path of a name, in a folder that is there. Raises as `usable`."""
        with self.usable():
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
        return self.path(name)

    def measure(self, name: str, rows: int) -> File:
        """What is to be said of an unfinished file. Raises as `usable`."""
        path = unfinished(self.path(name))
        with self.usable():
            return File(rows, path.stat().st_size, hash_file(path))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep others out. Raises LockHeldError, and as `usable`."""
        with contextlib.ExitStack() as stack:
            with self.usable():
                self.root.mkdir(parents=True, exist_ok=True)
                held = stack.enter_context(lock.hold(self.root, is_folder=True))
            if held is None:
                raise LockHeldError(
                    f"another command is exporting to {self.root}",
                    hint="Wait until it has ended, or choose another folder.",
                )
            yield

    def read_manifest(self) -> tuple[Manifest | None, bool]:
        """What an earlier export left, if any, and whether it is whole. Raises UsageError."""
        for name in (MANIFEST, BEGUN):
            with self.usable():
                text = self.path(name).read_text("utf-8") if self.path(name).exists() else None
            try:
                if text is not None:
                    return TypeAdapter(Manifest).validate_json(text), name == MANIFEST
            except (ValueError, UsageError):
                raise UsageError(
                    f"{self.path(name)} was not written by an export of this version",
                    hint="Delete the folder, or name another one.",
                ) from None
        return None, False

    def require_own(self, pattern: re.Pattern[str], *, is_known: bool) -> None:
        """Raises UsageError where the folder has files that no export wrote."""
        for text in self.list_names():
            name = PurePosixPath(text)
            final = re.fullmatch(r"\.(.+)\.new", name.name)
            finished = name.with_name(final[1]) if final else name
            is_ours = is_known and pattern.fullmatch(finished.as_posix())
            if not is_ours and not _BESIDE.fullmatch(text):
                raise UsageError(
                    f"{self.root}/{name} is not a file of this export",
                    hint="Choose an empty folder, or move the file: nothing was changed.",
                )

    def list_files(self, pattern: re.Pattern[str]) -> set[str]:
        """The names of an export's files."""
        return {name for name in self.list_names() if pattern.fullmatch(name)}

    def list_names(self) -> list[str]:
        """The names of all files."""
        with self.usable():
            paths = [path for path in self.root.rglob("*") if path.is_symlink() or path.is_file()]
            return sorted(path.relative_to(self.root).as_posix() for path in paths)

    def find_whole(self, manifest: Manifest) -> dict[str, Files]:
        """The parts whose files are what was written."""
        with self.usable():
            return {
                part: files
                for part, files in manifest.parts.items()
                if all(self._is_whole(name, file) for name, file in files.items())
            }

    def _is_whole(self, name: str, file: File) -> bool:
        path = self.path(name)
        return (
            path.is_file() and path.stat().st_size == file.bytes and hash_file(path) == file.sha256
        )

    def begin(self, manifest: Manifest) -> None:
        """Say whose folder this is, before its first file."""
        with self.usable():
            whole_file.write(self.path(BEGUN), manifest.as_text(), mode=0o644)

    @contextlib.contextmanager
    def discarding_unfinished(self) -> Iterator[None]:
        """Remove what a failing block was writing, such as on a full disk."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(QuotemillError):  # the error that came before says more
                self.discard_unfinished()
            raise

    def publish(self, manifest: Manifest, new: Files, obsolete: set[str]) -> None:
        """Give new files their names, remove obsolete ones, and write the manifest.

        A new file that equals the present one is discarded. Raises SettingsError where somebody
        has taken a file away meanwhile.
        """
        with self.usable():
            paths = []
            for name, file in new.items():
                if self._is_whole(name, file):
                    unfinished(self.path(name)).unlink()
                else:
                    paths.append(self.path(name))
            whole_file.sync_all(map(unfinished, paths))
            self.begin(manifest)
            if paths or obsolete:
                self.path(MANIFEST).unlink(missing_ok=True)
                whole_file.sync(self.root)
            for path in paths:
                whole_file.rename(path)
            self.remove(obsolete)
            named = [self.path(name) for name in manifest.files]
            for path in named:
                path.stat()
            self.sync_folders(named)
            self.path(BEGUN).replace(self.path(MANIFEST))
            whole_file.sync(self.root)
