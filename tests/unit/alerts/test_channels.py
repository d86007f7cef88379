"""Addresses of channels: forms that apprise knows, and none is ever shown."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from loaders.settings import load_settings
from orchestration.alerts import channels
from orchestration.checks import gather
from quotemill.errors import SettingsError

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "alerts.md"


def test_each_form_in_the_documentation_is_one() -> None:
    import apprise

    page = PAGE.read_text("utf-8")
    table = page.partition("| channel | form |")[2].partition("\n\n")[0]
    forms = re.findall(r"`(\S+://\S+)`", table)
    assert len(forms) >= 7
    assert [form for form in forms if apprise.Apprise.instantiate(form) is None] == []


def test_a_channel_is_called_by_its_place_and_kind(tmp_path: Path) -> None:
    two = "SLACK://a/b/c/d json://user:secret-one@h"
    settings = load_settings({"QUOTEMILL_ALERTS__URLS": two}, cwd=tmp_path)
    configured = channels.configured_channels(settings)
    assert [channel.name for channel in configured] == ["1 slack", "2 json"]
    assert "secret-one" not in repr(configured)


def test_the_doctor_names_the_channels(tmp_path: Path) -> None:
    [check] = gather.examine(load_settings({}, cwd=tmp_path, home=tmp_path), names=["alerts"])
    assert "[alerts]" in check.fix
    configured = {
        "urls": ["json://user:secret-one@h"],
        "ping_url": "https://ping.example/secret-two",
    }
    settings = load_settings({}, cwd=tmp_path, home=tmp_path, alerts=configured)
    [check] = gather.examine(settings, names=["alerts"])
    assert re.search(r"1 json, .* switch \(", check.sentence)
    assert "secret" not in check.sentence


def test_a_bad_address_is_refused_without_being_shown(tmp_path: Path) -> None:
    for setting in ("URLS", "PING_URL"):
        with pytest.raises(SettingsError) as refused:
            load_settings({f"QUOTEMILL_ALERTS__{setting}": "my-token-4f2a"}, cwd=tmp_path)
        assert "alerts." in str(refused.value)
        assert "my-token" not in f"{refused.value} {refused.value.hint}"
    with pytest.raises(SettingsError, match=r"alerts\.urls"):
        channels.require_channels(load_settings({}, cwd=tmp_path))


def test_an_address_that_apprise_refuses_is_not_shown() -> None:
    for url in ("nosuch://my-token-4f2a", "slack://my-token-4f2a"):
        refusal = channels.Channel("1 x", SecretStr(url)).send("t", "b", is_bad=True)
        assert refusal.startswith("Apprise ")
        assert "my-token" not in refusal
