"""Files in a zip, read without unpacking it.

    list_members(Path("hsjday.zip"))   its files: paths such as `hsjday.zip/sh/lday/sh600000.day`

A file counts as written when the zip was: times in a zip have no time zone.
"""

import sys
import zlib
from collections.abc import Iterator
from io import BufferedReader, FileIO
from lzma import LZMAError
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from quotemill.errors import DataQualityError
from quotemill.foreign import ZIP_DIRECTORY, check_size, reading

if sys.platform == "win32":
    from pathlib import WindowsPath as OwnPath
else:
    from pathlib import PosixPath as OwnPath


class Member(OwnPath):
    """A file in a zip; its path goes on from that of the zip."""

    archive: ZipFile
    info: ZipInfo
    written_ns: int

    def read_bytes(self) -> bytes:
        """The unpacked bytes, as many as `info` has; any error for a damaged or encrypted file."""
        try:
            return self.archive.read(self.info)
        except (BadZipFile, EOFError, LZMAError, zlib.error) as error:  # in words of no user
            raise DataQualityError(
                f"{self} cannot be read: it is damaged in the zip: download that again"
            ) from error


class _Bytes(BufferedReader):
    """The bytes of a zip. Its last ones say how long the directory before them is."""

    def read(self, size: int | None = -1, /) -> bytes:
        check_size(self.name, size or 0, ZIP_DIRECTORY)
        return super().read(size)


class _Zip(ZipFile):
    """A zip that is open for as long as one of its members is known."""

    def __init__(self, opened: _Bytes) -> None:
        self._opened = opened
        super().__init__(opened)

    def __del__(self) -> None:
        super().__del__()
        self._opened.close()


def list_members(path: Path) -> Iterator[tuple[str, Member]]:
    """The files of a zip by their names in it. Raises DataQualityError for what is no whole zip."""
    with reading(path):
        written_ns = path.stat().st_mtime_ns
        archive = _Zip(_Bytes(FileIO(path)))
        names = [(info.filename, Member(path, info.filename), info) for info in archive.infolist()]
    for name, member, info in names:
        if not info.is_dir():
            member.archive, member.info, member.written_ns = archive, info, written_ns
            yield name, member
