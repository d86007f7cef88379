"""The page of a load reads how far its build is from the lines that a command prints."""

import pytest

from loaders.cli import progress
from loaders.cli.progress import Lines
from orchestration.console.pages.loading import read_progress


def test_the_progress_of_a_build_is_read_from_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    shown = Lines()
    assert read_progress("build 3 makes all tables\n") is None
    shown.start("build", 1200)
    shown.advance("build", 1)
    assert read_progress(capsys.readouterr().err) == {"done": 1, "total": 1200, "step": ""}
    shown.step("kline_daily_qfq")
    shown.advance("build", 1100)
    read = read_progress(capsys.readouterr().err)
    assert read == {"done": 1101, "total": 1200, "step": "kline_daily_qfq"}
