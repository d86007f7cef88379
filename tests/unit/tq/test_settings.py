"""Section `tq`: lists, addresses, and an account with a password that nothing shows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from loaders.settings import load_settings
from loaders.tq.check import check
from quotemill.errors import SettingsError

SECRET = "p@ss w/rd:1"


def test_account_and_password_are_shown_nowhere(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_TQ__ACCOUNT": "somebody", "QUOTEMILL_TQ__PASSWORD": SECRET}
    settings = load_settings(environ, cwd=tmp_path)
    for held, given in ((settings.tq.account, "somebody"), (settings.tq.password, SECRET)):
        assert held is not None
        assert held.get_secret_value() == given
        for shown in (repr(settings), str(settings.tq), settings.model_dump_json()):
            assert given not in shown


def test_an_empty_account_counts_as_unset(tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text('[tq]\naccount = ""\npassword = ""\n')
    settings = load_settings({}, cwd=tmp_path)
    assert (settings.tq.account, settings.tq.password) == (None, None)


def test_an_error_beside_the_password_does_not_show_it(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_TQ__PASSWORD": SECRET, "QUOTEMILL_TQ__VARIETIES": "copper"}
    with pytest.raises(SettingsError, match=r"tq\.varieties") as error:
        load_settings(environ, cwd=tmp_path)
    assert SECRET not in f"{error.value} {error.value.hint}"


def test_varieties_are_separated_by_commas_and_counted_once(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_TQ__VARIETIES": "SHFE.cu, INE.sc,SHFE.cu"}
    assert load_settings(environ, cwd=tmp_path).tq.varieties == ["SHFE.cu", "INE.sc"]


def test_an_address_of_another_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tq\.sandbox.* http:"):
        load_settings({"QUOTEMILL_TQ__SANDBOX": "ftp://there"}, cwd=tmp_path)
    assert load_settings({}, cwd=tmp_path).tq.sandbox is None


def test_a_check_without_an_account_names_the_setting_and_sends_nothing(tmp_path: Path) -> None:
    settings = load_settings({"QUOTEMILL_HOME": str(tmp_path)}, cwd=tmp_path)
    with pytest.raises(SettingsError, match="QUOTEMILL_TQ__ACCOUNT"):
        check(settings, datetime(2025, 11, 14, tzinfo=UTC))
