"""The look for planted secrets, which every test ends with."""

import os
from pathlib import Path

from tests import planted


def test_a_secret_is_reported_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.jsonl"
    log.parent.mkdir()
    os.mkfifo(tmp_path / "alerts.json")
    log.write_text("no secret")
    assert planted.find_secrets(tmp_path) == []
    log.write_text(f"password={planted.SECRETS[2]}")
    assert planted.find_secrets(tmp_path) == [f"{log}: {planted.SECRETS[2]}"]
    log.unlink()
