"""Files of the archive by day: what is read of one, and up to which day they are compacted."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from loaders.files.whole_file import unfinished
from orchestration.archive import folder as folders
from orchestration.archive.closed import today
from orchestration.archive.compaction import _last_day

FIRST = date(2026, 11, 23)  # a Monday
NEVER = date.min


def test_of_a_large_file_the_rows_of_one_day_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_GROUP", 2)
    places = [0, 1, 1, 1, 1, 2, 2]  # two rows of a group begin, hold, or end the day
    days = [FIRST + timedelta(days=place) for place in places]
    rows = pa.table({"date": pa.array(days), "n": range(len(days))})
    path = tmp_path / "part-0.parquet"
    with folders.FileWriter(path, rows.schema, "zstd") as writer:
        writer.write(rows)
        writer.close()
    for place, wanted in ((0, [0]), (1, [1, 2, 3, 4]), (2, [5, 6]), (3, [])):
        batches = folders.read_batches(unfinished(path), FIRST + timedelta(days=place))
        assert [n for batch in batches for n in batch["n"].to_pylist()] == wanted
    assert sum(batch.num_rows for batch in folders.read_batches(unfinished(path))) == len(days)


@pytest.mark.parametrize(
    ("is_wanted", "day", "newest"),
    [
        (None, 0, FIRST - timedelta(days=1)),  # Monday: the week before is over
        (None, 6, FIRST - timedelta(days=1)),  # Sunday: it is not yet
        (None, 7, FIRST + timedelta(days=6)),
        (True, 2, FIRST + timedelta(days=2)),
        (False, 2, NEVER),
    ],
)
def test_weeks_are_compacted_when_over_or_days_at_once(
    is_wanted: bool | None, day: int, newest: date
) -> None:
    as_of = datetime(2026, 11, 23, 15, tzinfo=UTC) + timedelta(days=day)
    assert _last_day(is_wanted, as_of) == newest


def test_a_day_ends_at_midnight_in_new_york() -> None:
    assert today(datetime(2026, 11, 24, 4, 59, tzinfo=UTC)) == FIRST
    assert today(datetime(2026, 11, 24, 5, 0, tzinfo=UTC)) == FIRST + timedelta(days=1)
