"""An export on S3-like storage: its files are written here, and sent when they are whole.

There too the manifest is taken away first and written last, and an object is whole or absent. What
a killed export had sent is sent again.
"""

import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from loaders.files.whole_file import unfinished
from orchestration.exports.folder import JOURNAL, MANIFEST, File, Files, Folder, State, write_json
from quotemill.errors import SettingsError, UsageError

_OPTIONS = {"endpoint_override", "region", "scheme"}


@dataclass(frozen=True)
class Bucket(Folder):
    """A prefix of a store, which nothing locks; `root` is a folder of what is not sent yet.

    url: without its options
    store, base: a file system of Arrow, and the prefix in it
    """

    is_local: ClassVar[bool] = False
    url: str = ""
    store: Any = None
    base: str = ""

    @property
    def label(self) -> str:
        return self.url

    @contextlib.contextmanager
    def usable(self) -> Iterator[None]:
        try:
            with super().usable():
                yield
        except OSError as error:  # of Arrow, with no number
            raise SettingsError(
                f"{self.url} cannot be used: {error}",
                hint="check its name, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, "
                "AWS_ENDPOINT_URL in the environment",
            ) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self.usable():
            self.root.mkdir(mode=0o700)
        try:
            yield
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def list_names(self) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        with self.usable():
            below = FileSelector(self.base, allow_not_found=True, recursive=True)
            paths = [i.path for i in self.store.get_file_info(below) if i.type == FileType.File]
        return sorted(path.removeprefix(f"{self.base}/") for path in paths)

    def read_text(self, name: str) -> str | None:
        if name not in self.list_names():
            return None
        with self.usable(), self.store.open_input_stream(f"{self.base}/{name}") as stream:
            return str(stream.read(), "utf-8")

    def find_whole(self, _: State) -> dict[str, Files]:
        return {}  # all of it is sent again

    def start_journal(self, state: State) -> None:
        self._write(JOURNAL, json.dumps(state.as_json()))
        self.remove([MANIFEST])

    def commit(self, parts: Mapping[str, Files], _: Mapping[str, File]) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        with self.usable():
            for name in (name for files in parts.values() for name in files):
                path = unfinished(self.path(name))
                copy_files(str(path), f"{self.base}/{name}", LocalFileSystem(), self.store)
                path.unlink()

    def remove(self, names: Iterable[str]) -> None:
        there = {*self.list_names()}
        with self.usable():
            for name in there.intersection(names):
                self.store.delete_file(f"{self.base}/{name}")

    def write_manifest(self, state: State) -> None:
        self._write(MANIFEST, write_json(state))
        self.remove([JOURNAL])

    def _write(self, name: str, text: str) -> None:
        with self.usable(), self.store.open_output_stream(f"{self.base}/{name}") as stream:
            stream.write(text.encode())


def open_bucket(address: str) -> Bucket:
    """A prefix by its address, such as s3://bucket/prefix. Raises UsageError."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    parts = urlsplit(address)
    if parts.username or {name for name, _ in parse_qsl(parts.query)} - _OPTIONS:
        raise UsageError(
            "an address has no secrets and no other options than region and endpoint_override",
            hint="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        )
    try:
        store, base = FileSystem.from_uri(address)
    except (ArrowException, OSError, ValueError, ImportError) as error:
        raise UsageError(f"{address} is no place to write: {error}", hint="s3://b/bars") from None
    root = Path(tempfile.gettempdir()) / f"quotemill-export-{secrets.token_hex(6)}"
    return Bucket(root, url=address.partition("?")[0], store=store, base=base.rstrip("/"))
