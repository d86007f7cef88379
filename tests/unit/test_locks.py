"""The two locks agree: running needs a part of what development needs, at the same versions."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = {"pytest", "mypy", "ruff", "sqlfluff", "sphinx", "duckdb", "hypothesis"}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", text, re.MULTILINE))


def test_the_lock_for_running_is_part_of_the_one_for_development() -> None:
    running, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert len(running) > 100
    assert running.items() <= development.items()


def test_tools_are_in_the_lock_for_development_alone() -> None:
    assert set(pins("requirements-dev.lock")) >= TOOLS
    assert not TOOLS & set(pins("requirements.lock"))


def test_every_pin_has_a_hash_and_no_index_is_named() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text("utf-8")
        entries = re.split(r"^(?=[\w.-]+(?:\[[\w,-]+\])?==)", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in entry for entry in entries), name
        assert "://" not in text
