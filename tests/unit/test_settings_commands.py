"""`quotemill settings` and `quotemill init`, in a folder of their own."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests import write_reference
from tests.e2e.commands import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path / "home")


def test_each_setting_is_printed_with_its_value_and_origin(place: Place) -> None:
    (place.folder / "quotemill.toml").write_text(
        '[tdx]\nbase_url = "http://me:wo@rd@tdx:8080?key=4711"\n'
    )
    done = place.inside("quotemill", "settings", "--json", QUOTEMILL_TQ__PASSWORD="secret")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["tdx.base_url"]["value"] == "http://**********@tdx:8080?key=**********"
    assert rows["tdx.base_url"]["origin"].endswith("quotemill.toml")
    assert rows["tq.password"]["value"] == "**********"
    assert rows["tq.password"]["origin"] == "environment QUOTEMILL_TQ__PASSWORD"
    assert rows["log_days"] == {
        "name": "log_days",
        "value": 30,
        "origin": "default",
        "variable": "QUOTEMILL_LOG_DAYS",
    }
    assert "secret" not in done.stdout
    assert not place.home.exists()


def test_only_what_was_changed_is_printed_on_request(place: Place) -> None:
    done = place.inside("quotemill", "settings", "--changed", QUOTEMILL_LOG_DAYS="7")
    assert "log_days = 7\n    environment QUOTEMILL_LOG_DAYS" in done.stdout
    assert "log_megabytes" not in done.stdout


def test_every_value_is_printed_as_a_settings_file_takes_it(place: Place) -> None:
    example = (write_reference.ROOT / "quotemill.example.toml").read_text("utf-8")
    file = place.folder / "quotemill.toml"
    file.write_text(re.sub(r"^# (\w+ = )", r"\1", example, flags=re.MULTILINE), "utf-8")
    done = place.inside("quotemill", "settings", "--changed")
    assert done.returncode == 0, done.stderr
    printed = tomllib.loads("\n".join(re.findall(r"^\S.* = .+$", done.stdout, re.MULTILINE)))
    assert printed["tq"]["start"] == str(tomllib.loads(file.read_text("utf-8"))["tq"]["start"])


def test_init_writes_every_setting_as_a_comment_once(place: Place) -> None:
    first, second = place.inside("quotemill", "init"), place.inside("quotemill", "init")
    written = place.folder / "quotemill.toml"
    assert (first.returncode, first.stdout.strip()) == (0, str(written))
    assert not any(tomllib.loads(written.read_text("utf-8"))["tdx"].values())
    assert "# base_url = " in written.read_text("utf-8")
    refused = place.inside("quotemill", "run", "tq").stderr  # which `init` cannot help any more
    assert refused.endswith(f" {written}.\n")
    assert written.stat().st_mode & 0o777 == 0o600
    assert (second.returncode, str(written) in second.stderr) == (2, True)


def test_init_hides_no_settings_of_a_folder_above(place: Place) -> None:
    above = place.folder.parent / "quotemill.toml"
    above.write_text("log_days = 7\n")
    try:
        done = place.inside("quotemill", "init")
    finally:
        above.unlink()
    assert done.returncode == 2
    assert str(above) in done.stderr
    assert not (place.folder / "quotemill.toml").exists()
