"""A model that fails in every build hides no other."""

from datetime import UTC, datetime
from pathlib import Path

from loaders.settings import load_settings
from orchestration.alerts import book, causes
from orchestration.run.build_result import BuildResult, Finding
from orchestration.run.stages import RunResult


def test_a_further_model_that_fails_is_sent_once(tmp_path: Path) -> None:
    settings = load_settings({}, cwd=tmp_path, home=tmp_path)
    entries: dict[str, book.Entry] = {}
    now = datetime(2026, 11, 20, 18, tzinfo=UTC)

    def night(*names: str) -> list[str]:
        failed = [Finding(name, "fail", "2 rows") for name in names]
        warned = Finding("odd", "warn", "a finding")
        build = BuildResult(1, not names, "build", 9, 9, 9, 1, len(names), (*failed, warned), 0.1)
        verdicts = causes.check_run(RunResult((), build.exit_code, (build,)), settings)
        sent = book.update_book(entries, verdicts, now, None)
        for message in sent:
            message.entry.channels = ["a"]
            message.settle(["a"], now)
        return [message.entry.message for message in sent]

    assert len(night("unique_a")) == 1
    assert night("unique_a") == []
    [message] = night("unique_a", "unique_b")
    assert message.endswith(", also unique_b")
    assert night("unique_b", "unique_a") == []
    assert len(night()) == 1
