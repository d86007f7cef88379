"""Doctor checks of the files and folders that settings name."""

import shutil
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from loaders import sources
from loaders.check import Check
from loaders.settings import Settings, load_settings
from orchestration.checks import folders, gather
from orchestration.checks.place import Place
from quotemill.settings.folders import make_private

NOW = datetime(2025, 6, 30, tzinfo=UTC)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def settings(home: Path, **environ: Any) -> Settings:
    named = {f"QUOTEMILL_{name}": str(value) for name, value in environ.items()}
    return load_settings({"QUOTEMILL_HOME": str(home), **named}, cwd=home.parent)


def find_problems(settings: Settings) -> list[Check]:
    names = ("home", "profile", "disk", "archive", "files")
    checks = gather.gather(Place(settings, None, NOW), names)
    return [c for c in checks if c.verdict != "ok" and c.name in names]


def test_every_check_is_there_and_one_that_breaks_is_a_failed_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in gather.CHECKS.values():
        module, _, function = path.partition(":")
        assert callable(getattr(import_module(f"orchestration.checks.{module}"), function))
    monkeypatch.setattr(folders, "existing_parent", lambda _: 1 / 0)
    checks = gather.gather(Place(settings(tmp_path / "home"), None, NOW), ["home", "alerts"])
    assert [(c.name, c.verdict, c.exit_code) for c in checks] == [
        ("home", "fail", 1),
        ("alerts", "ok", 0),
    ]


def test_a_source_that_is_not_configured_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "check", lambda *_: [Check("service", "ok", subject="ib")])
    place = Place(settings(tmp_path, IB__HOST="localhost"), None, NOW)
    checks = gather.gather(place, ["service"])
    assert {c.subject: c.verdict for c in checks} == {"ib": "ok", "tdx": "unknown", "tq": "unknown"}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("TDX__CORPORATE_ACTIONS", {"TDX__BASE_URL": "http://localhost"}),
        ("IB__UNIVERSE", {"IB__HOST": "localhost"}),
    ],
)
def test_a_missing_path_of_a_setting_is_reported(
    name: str, other: dict[str, str], tmp_path: Path
) -> None:
    place = tmp_path / "named"
    [check] = find_problems(settings(tmp_path, **other, **{name: place}))
    assert (check.name, check.verdict, check.exit_code) == ("files", "fail", 3)
    assert str(place) in check.sentence
    assert name.lower().replace("__", ".") in check.fix

    place.mkdir()
    assert find_problems(settings(tmp_path, **other, **{name: place})) == []


def test_paths_of_unconfigured_sources_are_not_checked(tmp_path: Path) -> None:
    assert find_problems(settings(tmp_path, IB__UNIVERSE=tmp_path / "named")) == []


def test_a_home_that_is_not_writable_is_reported(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.write_text("a file, in which root cannot make anything either")
    [check] = find_problems(settings(place))
    assert (check.name, check.verdict, check.exit_code) == ("home", "fail", 3)
    assert str(place) in check.sentence


def test_a_profile_written_by_the_user_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    (tmp_path / "profiles.yml").write_text("mine: {}\n")
    [check] = find_problems(settings(tmp_path))
    assert (check.name, check.verdict, check.exit_code) == ("profile", "fail", 3)
    assert "DBT_PROFILES_DIR" in check.fix


@pytest.mark.parametrize(
    ("free", "total", "status"),
    [(1, 100, "warn"), (15, 100, "warn"), (25, 100, "ok"), (150, 1000, "warn")],
)
def test_a_disk_that_fills_is_reported_before_it_is_full(
    free: int, total: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gib = 2**30
    usage = Usage(total * gib, (total - free) * gib, free * gib)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    checks = gather.gather(Place(settings(tmp_path), None, NOW), ["disk"])
    assert [check.verdict for check in checks] == [status]


def test_a_home_that_other_users_may_enter_is_named(tmp_path: Path) -> None:
    home = tmp_path / "open"
    home.mkdir()
    home.chmod(0o755)
    away = settings(home, WAREHOUSE_URL="postgresql:///nothing")
    [check] = find_problems(away)
    assert (check.name, check.verdict, check.fix) == ("home", "warn", f"chmod o-rwx {home}")
    home.chmod(0o750)
    assert find_problems(away) == []


@pytest.mark.parametrize(("user", "above"), [(1000, 0o700), (0, 0o755)])
def test_a_home_that_a_command_makes_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, above: int
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    make_private(tmp_path / "var" / "home" / "logs")
    modes = [folder.stat().st_mode & 0o777 for folder in sorted((tmp_path / "var").glob("**/"))]
    assert modes == [above, 0o700, 0o700]
