"""What jobs print stays bounded, and who writes goes on writing."""

from pathlib import Path

import pytest

from orchestration.schedule import output


def test_a_file_that_is_too_large_starts_again_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MAX_BYTES", 100)
    large, small = tmp_path / "schedule-cron.log", tmp_path / "schedule-serve.log"
    small.write_text("few\n", "utf-8")
    with large.open("a", encoding="utf-8") as writer:
        writer.write("old\n" * 50)
        writer.flush()
        output.rotate_logs(tmp_path)
        writer.write("new\n")
    assert large.read_text("utf-8") == "new\n"
    assert (tmp_path / "schedule-cron.log.1").read_text("utf-8") == "old\n" * 50
    assert small.read_text("utf-8") == "few\n"
    output.rotate_logs(tmp_path / "none")
