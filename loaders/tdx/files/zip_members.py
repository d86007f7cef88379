"""Files in a zip, read without unpacking it.

    list_members(Path("hsjday.zip"))   its files: paths such as `hsjday.zip/sh/lday/sh600000.day`

A file counts as written when the zip was: times in a zip have no time zone.
"""

import errno
import zlib
from collections.abc import Iterator
from pathlib import Path, PosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

MOST_BYTES = 2**28  # unpacked, of a file


class Member(PosixPath):
    """A file in a zip; its path goes on from that of the zip."""

    archive: ZipFile
    info: ZipInfo
    written_ns: int

    def read_bytes(self) -> bytes:
        """The unpacked bytes. Raises OSError, also for a damaged or encrypted file."""
        if self.info.file_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"{self.info.file_size:,} bytes unpacked are too many")
        try:
            return self.archive.read(self.info)
        except (BadZipFile, EOFError, zlib.error) as error:
            raise OSError(errno.EIO, "it is damaged in the zip: download that again") from error
        except (RuntimeError, NotImplementedError) as error:  # such as encrypted
            raise OSError(errno.EIO, str(error)) from error


def list_members(path: Path) -> Iterator[tuple[str, Member]]:
    """The files of a zip by their names in it. Raises OSError for what is no whole zip."""
    written_ns = path.stat().st_mtime_ns
    try:
        archive = ZipFile(path)
    except BadZipFile as error:
        raise OSError(errno.EIO, "it is no zip, or a part of one: download it again") from error
    for info in archive.infolist():
        if not info.is_dir():
            member = Member(path, info.filename)
            member.archive, member.info, member.written_ns = archive, info, written_ns
            yield info.filename, member
