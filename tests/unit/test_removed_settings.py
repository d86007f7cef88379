"""Settings of earlier versions that a file or a variable still has."""

from pathlib import Path

import pytest

from loaders.settings import Settings, load_settings
from quotemill import settings as readers
from quotemill.errors import SettingsError
from quotemill.settings.allowed import find_field
from quotemill.settings.removed import REMOVED


def test_a_removed_setting_is_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "quotemill.toml").write_text(
        "pool_size = 3\n[ib.rate_limits.open_interest]\nper_minute = 9\n"
    )
    (tmp_path / ".env").write_text("QUOTEMILL_TQ__SETTLE_MARGIN=1\n")
    environ = {"QUOTEMILL_IB__SLOT_GRACE_SECONDS": "many"}
    with caplog.at_level("WARNING", "loaders"):
        settings = [load_settings(environ, cwd=tmp_path) for _ in range(2)]
    assert [loaded.origins for loaded in settings] == [{}, {}]
    assert settings[0].model_dump() == load_settings({}, cwd=tmp_path.parent).model_dump()
    assert len(settings[0].removed) == 4
    toml, dotenv = tmp_path / "quotemill.toml", tmp_path / ".env"
    said = [record.getMessage().partition(" (")[0] for record in caplog.records]
    assert [(text.split()[0], text.partition(" remove it from ")[2]) for text in said] == [
        ("pool_size", str(toml)),
        ("ib.rate_limits.open_interest.per_minute", str(toml)),
        ("tq.settle_margin", f"{dotenv} QUOTEMILL_TQ__SETTLE_MARGIN"),
        ("ib.slot_grace_seconds", "environment QUOTEMILL_IB__SLOT_GRACE_SECONDS"),
    ]
    assert readers.load_settings(environ, cwd=tmp_path).home == settings[0].home


def test_an_address_that_secrets_went_to_is_refused_and_not_left_out(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_TQ__AUTH_URL": "http://user:hunter2@127.0.0.1:1"}
    with pytest.raises(SettingsError, match=r"^tq\.auth_url .*tq\.sandbox") as refused:
        load_settings(environ, cwd=tmp_path)
    assert "hunter2" not in str(refused.value)
    assert readers.load_settings(environ, cwd=tmp_path).home


def test_no_removed_setting_is_one() -> None:
    assert [name for name in REMOVED if find_field(Settings, name)] == []


def test_a_command_of_a_run_warns_of_nothing_that_the_run_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_RUN_ID", "20260101T000000-0000")
    load_settings({"QUOTEMILL_TQ__SETTLE_MARGIN": "1"}, cwd=tmp_path)
    assert caplog.records == []
