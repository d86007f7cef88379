"""The book as a file, beside what others may put in its place."""

import contextlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from orchestration.alerts import file_book
from orchestration.alerts.book import Entry

NIGHT = datetime(2026, 11, 20, 18, tzinfo=UTC)
ENTRY = Entry("warehouse", "error", "it is away", "quotemill doctor", NIGHT, NIGHT)


def test_only_a_file_is_read_and_nothing_is_waited_for(tmp_path: Path) -> None:
    place, kept = tmp_path / "alerts.json", tmp_path / "kept.json"
    assert file_book.write(tmp_path, [ENTRY])
    assert file_book.read(tmp_path) == {"warehouse": ENTRY}
    place.rename(kept)
    place.symlink_to(kept)
    assert file_book.read(tmp_path) == {}
    place.unlink()
    os.mkfifo(place)

    def offer() -> None:
        with contextlib.suppress(OSError):
            place.write_bytes(kept.read_bytes())

    # what waits for a writer gets one, and an entry; who does not wait leaves this one alone
    threading.Thread(target=offer, daemon=True).start()
    assert file_book.read(tmp_path) == {}
