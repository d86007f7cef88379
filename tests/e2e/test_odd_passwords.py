"""A password with a character that a URL reserves is shown by no command, and the way out is."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.commands import Place
from tests.homes import new_home

RESERVED = "@/?#:[]%&=+$,;! '\"\\"
PLACES = {
    "QUOTEMILL_WAREHOUSE_URL": "postgresql://me:{}@127.0.0.1:9/market",
    "QUOTEMILL_QUESTDB_URL": "http://me:{}@127.0.0.1:9",
    "QUOTEMILL_TDX__BASE_URL": "http://me:{}@127.0.0.1:9",
    "QUOTEMILL_TQ__SANDBOX": "http://me:{}@127.0.0.1:9",
    "QUOTEMILL_ALERTS__URLS": '["json://me:{}@127.0.0.1:9"]',
    "QUOTEMILL_ALERTS__PING_URL": "http://me:{}@127.0.0.1:9/ping",
}


def check_hidden(folder: Path, settings: Mapping[str, str]) -> str:
    """The text of some commands, without a part of the password."""
    with new_home() as home:
        place = Place(folder, home, settings)
        done = [
            place.inside("quotemill", *command)
            for command in (("settings",), ("doctor",), ("status",), ("alerts", "test"))
        ]
        text = "".join(run.stdout + run.stderr for run in done)
        logs = "".join(file.read_text() for file in home.rglob("*.jsonl"))
    for part in ("Zx9", "Qv7"):
        assert part not in text + logs, text
    return text


@pytest.mark.parametrize("character", RESERVED)
def test_no_part_of_a_password_is_shown(character: str, tmp_path: Path) -> None:
    text = check_hidden(
        tmp_path, {name: place.format(f"Zx9{character}Qv7") for name, place in PLACES.items()}
    )
    if character in "@/":
        assert "Write @ as %40 and / as %2F" in text


def test_each_address_hides_its_own(tmp_path: Path) -> None:
    """One alone: a mistake in the warehouse's address must not hide what others would show."""
    for name, place in PLACES.items():
        check_hidden(tmp_path, {name: place.format("Zx9@Qv7")})
