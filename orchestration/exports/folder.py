"""The folder of an export: its files, what is whole of them, and one writer at a time.

manifest.json names every file with its rows, size and SHA-256. It is written last and taken away
before a file changes, so what it says is there. `.export.jsonl` has the same meanwhile: a line for
each month or code that is whole. An unfinished file is called `.part-0.parquet.new`.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from loaders.files import folder as folders
from loaders.files import lock, whole_file
from loaders.files.whole_file import hash_file, unfinished
from orchestration.exports.definition import Definition
from quotemill.errors import LockHeldError, QuotemillError, UsageError

MANIFEST, JOURNAL = "manifest.json", ".export.jsonl"
# of theirs that were being written; those that stand beside the files, with DuckDB's log
_PART_OF_OURS = re.compile(rf"\.({re.escape(MANIFEST)}|{re.escape(JOURNAL)})\.\w{{8}}\.new")
_BESIDE = re.compile(
    rf"{re.escape(MANIFEST)}|{re.escape(JOURNAL)}|\.?views\.duckdb(\.new)?(\.wal)?"
)
_FORMAT = 1


@dataclass(frozen=True)
class File:
    """A file that is whole."""

    rows: int
    bytes: int
    sha256: str


Files = Mapping[str, File]  # of a part (a month or a code) by path below the folder; may be empty


@dataclass
class State:
    """The state of a folder.

    definition: what it is a copy of
    folder_id: the random name of the folder's cursor
    change_no: the change of the feed up to which the files are
    fingerprint: of what the rows are made of
    parts: the files by month or code; one without rows has none
    written_at: when it was whole
    facts: what else a form remembers
    is_whole: whether the manifest is there
    """

    definition: Definition
    folder_id: str
    change_no: int
    fingerprint: str
    parts: dict[str, Files]
    written_at: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def rows(self) -> int:
        # the files of a part hold the same rows
        return sum(
            max((file.rows for file in files.values()), default=0) for files in self.parts.values()
        )

    @property
    def names(self) -> set[str]:
        return {name for files in self.parts.values() for name in files}

    def as_json(self) -> dict[str, Any]:
        document = {name: value for name, value in vars(self).items() if name != "is_whole"}
        return {
            "quotemill_export": _FORMAT,
            **document,
            "rows": self.rows,
            "definition": self.definition.as_json(),
            "parts": {part: _describe(files) for part, files in self.parts.items()},
        }

    @classmethod
    def read(cls, document: dict[str, Any], *, is_whole: bool) -> "State":
        return cls(
            Definition.read(document["definition"]),
            document["folder_id"],
            document["change_no"],
            document["fingerprint"],
            {part: _read_files(files) for part, files in document["parts"].items()},
            document["written_at"],
            document["facts"],
            is_whole,
        )


@dataclass(frozen=True)
class Folder(folders.Folder):
    """A folder that this process alone writes, once it is `locked`."""

    kind: ClassVar[str] = "the export"
    is_local: ClassVar[bool] = True

    @property
    def label(self) -> str:
        """Its name in messages."""
        return str(self.root)

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
                    f"another command exports to {self.root}",
                    hint="wait until it has ended, or name another folder",
                )
            yield

    def read_state(self) -> State | None:
        """The state that an earlier export left; None in a new folder. Raises UsageError."""
        for name in (JOURNAL, MANIFEST):
            try:
                if (text := self.read_text(name)) is not None:
                    return _read_state(name, text)
            except (ValueError, KeyError, TypeError):
                raise UsageError(
                    f"{self.label}/{name} is of no export of this version",
                    hint="delete the folder, or name another one",
                ) from None
        return None

    def require_own(self, state: State | None, pattern: re.Pattern[str]) -> None:
        """Raises UsageError where the folder has files that no export wrote."""
        for text in self.list_names():
            name = PurePosixPath(text)
            final = re.fullmatch(r"\.(.+)\.new", name.name)
            finished = name.with_name(final[1]) if final else name
            if _PART_OF_OURS.fullmatch(text):
                continue
            known = (pattern.fullmatch(finished.as_posix()), _BESIDE.fullmatch(text))
            if state is None or not any(known):
                raise UsageError(
                    f"{self.label}/{name} is no file of this export",
                    hint="name an empty folder, or move the file: nothing was changed",
                )

    def list_files(self, pattern: re.Pattern[str]) -> set[str]:
        """The names of an export's files."""
        return {name for name in self.list_names() if pattern.fullmatch(name)}

    def list_names(self) -> list[str]:
        """The names of all files."""
        with self.usable():
            paths = [path for path in self.root.rglob("*") if path.is_symlink() or path.is_file()]
            return sorted(path.relative_to(self.root).as_posix() for path in paths)

    def read_text(self, name: str) -> str | None:
        """The text of a file; None without it."""
        with self.usable():
            return self.path(name).read_text("utf-8") if self.path(name).exists() else None

    def find_whole(self, state: State) -> dict[str, Files]:
        """The parts whose files are what was written."""
        with self.usable():
            return {
                part: files
                for part, files in state.parts.items()
                if all(self._is_whole(name, file) for name, file in files.items())
            }

    def list_damaged(self, state: State) -> list[str]:
        """The names of files that are missing or of another size; nothing is read."""
        with self.usable():
            files = [pair for part in state.parts.values() for pair in part.items()]
            return sorted(name for name, file in files if not self._has_size(name, file))

    def _has_size(self, name: str, file: File) -> bool:
        path = self.path(name)
        return path.is_file() and path.stat().st_size == file.bytes

    def _is_whole(self, name: str, file: File) -> bool:
        return self._has_size(name, file) and hash_file(self.path(name)) == file.sha256

    def start_journal(self, state: State) -> None:
        """Say what is whole, and take the manifest away: files are about to change."""
        with self.usable():
            whole_file.write(self.path(JOURNAL), json.dumps(state.as_json()) + "\n", mode=0o644)
            self.path(MANIFEST).unlink(missing_ok=True)
            whole_file.sync(self.root)

    def commit(self, parts: Mapping[str, Files], before: Mapping[str, File]) -> None:
        """Name finished files in the journal, then rename them. Those equal to `before` stay."""
        with self.usable():
            changed = []
            for name, file in ((n, f) for files in parts.values() for n, f in files.items()):
                if before.get(name) == file:
                    unfinished(self.path(name)).unlink()
                else:
                    changed.append(self.path(name))
            whole_file.sync_all(map(unfinished, changed))
            lines = [json.dumps({"part": p, "files": _describe(f)}) for p, f in parts.items()]
            with self.path(JOURNAL).open("r+", encoding="utf-8") as journal:  # it must be there
                journal.seek(0, os.SEEK_END)
                journal.write("".join(f"{line}\n" for line in lines))
                journal.flush()
                os.fsync(journal.fileno())
            for path in changed:
                whole_file.rename(path)

    @contextlib.contextmanager
    def discarding_unfinished(self) -> Iterator[None]:
        """Remove what a failing block was writing, such as on a full disk."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(QuotemillError):  # the error that came before says more
                self.discard_unfinished()
            raise

    def write_manifest(self, state: State) -> None:
        """Say that the export is whole, once its files are on disk.

        Raises SettingsError where somebody has taken a file away meanwhile.
        """
        with self.usable():
            paths = [self.path(name) for name in state.names]
            for path in paths:
                path.stat()
            self.sync_folders(paths)
            whole_file.write(self.path(MANIFEST), write_json(state), mode=0o644)
            self.path(JOURNAL).unlink(missing_ok=True)
            whole_file.sync(self.root)


def write_json(state: State) -> str:
    """The text of a manifest."""
    return json.dumps(state.as_json(), indent=1) + "\n"


def _describe(files: Files) -> dict[str, Any]:
    return {name: asdict(file) for name, file in files.items()}


def _read_files(document: Mapping[str, Any]) -> dict[str, File]:
    return {name: File(**file) for name, file in document.items()}


def _read_state(name: str, text: str) -> State:
    if name == MANIFEST:
        return State.read(json.loads(text), is_whole=True)
    first, *lines = text.splitlines()
    state = State.read(json.loads(first), is_whole=False)
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # cut short by a kill
            break
        state.parts[entry["part"]] = _read_files(entry["files"])
    return state
