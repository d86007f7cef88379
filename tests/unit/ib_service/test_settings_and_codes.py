"""The section of the settings, and what the numbers of the gateway mean."""

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest

from loaders.ib.client import error_codes
from loaders.ib.client.error_codes import NOT_FROM_CODES, classify_code, read_codes
from loaders.ib.client.gateway import open_gateway
from loaders.ib.errors import IbMissing
from loaders.ib.settings import IbSettings
from loaders.settings import load_settings
from quotemill.errors import SettingsError
from quotemill.installation import install_hint
from quotemill.warehouse.dbt_project import find_project


def test_the_variables_that_users_of_a_gateway_have_are_understood(tmp_path: Path) -> None:
    environ = {
        "IB_HOST": "gateway.example",
        "IB_PORT": "7497",
        "IB_CLIENT_ID": "7",
        "IB_MARKET_DATA_TYPE": "3",
    }
    ib = load_settings(environ, cwd=tmp_path).ib
    assert (ib.host, ib.port, ib.client_id, ib.market_data_type) == ("gateway.example", 7497, 7, 3)
    environ["QUOTEMILL_IB__PORT"] = "4001"
    settings = load_settings(environ, cwd=tmp_path)
    assert settings.ib.port == 4001
    assert settings.origin("ib.client_id") == "environment IB_CLIENT_ID"
    assert load_settings({}, cwd=tmp_path).ib.host is None


def test_lists_come_from_a_variable_too(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_IB__RETRY_WAITS": "0.5, 1", "QUOTEMILL_IB__EXPIRY_TYPES": "weekly"}
    ib = load_settings(environ, cwd=tmp_path).ib
    assert (ib.retry_waits, ib.expiry_types) == ([0.5, 1.0], ["weekly"])


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"IB_PORT": "gateway"}, "ib.port (environment IB_PORT)"),
        ({"IB_CLIENT_ID": "0"}, "ib.client_id"),
        ({"IB_MARKET_DATA_TYPE": "5"}, "ib.market_data_type"),
        ({"QUOTEMILL_IB__CLOSE_SNAPSHOT_TIME": "19:00"}, "the close is never due"),
        ({"QUOTEMILL_IB__ENRICH_CONFIRM_TIME": "06:00"}, "confirm nothing"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"IB_HOST": "gateway.example"} | environ, cwd=tmp_path)
    assert says in str(caught.value)


def test_without_a_gateway_the_variables_of_other_tools_are_theirs(tmp_path: Path) -> None:
    environ = {"IB_PORT": "gateway", "IB_CLIENT_ID": "0", "QUOTEMILL_IB__PORT": ""}
    settings = load_settings(environ | {"QUOTEMILL_IB__STAGE": "2"}, cwd=tmp_path)
    assert settings.ib == IbSettings(stage=2)
    assert settings.origin("ib.client_id") == "default"


def test_a_client_that_is_not_installed_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(IbMissing) as caught, open_gateway(IbSettings(host="127.0.0.1")):
        pass
    assert install_hint("ib") == caught.value.hint


def test_the_loader_reads_each_line_of_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = find_project().root / "seeds" / "ib_error_codes.csv"
    with seed.open(encoding="utf-8") as file:
        seeded = list(csv.DictReader(file))
    assert {row["error_type"] for row in seeded if not row["error_code"]} == set(NOT_FROM_CODES)
    for row in seeded:
        assert row["handling"].endswith("."), row
        if row["error_code"]:
            said = f"… {row['message_has'].partition('|')[0].upper()} …"
            known = classify_code(int(row["error_code"]), said)
            assert (known.meaning, known.action) == (row["meaning"], row["action"])
    # a line that is added teaches the loader
    folder = tmp_path / "seeds"
    folder.mkdir()
    own = SimpleNamespace(root=tmp_path)
    monkeypatch.setattr(error_codes, "find_project", lambda: own)
    header, *_ = seed.read_text("utf-8").splitlines()
    copy = folder / seed.name
    for line, action in (
        ("9876,,a new one,new,skip,,.", "skip"),
        ("9876,Refused,its text in any case,new,degrade,,.", "degrade"),
        ("9876,,a,b,jump,,.", None),
    ):
        copy.write_text(f"{header}\n{line}\n", "utf-8")
        read_codes.cache_clear()
        if action:
            assert classify_code(9876, "it was refused").action == action
        else:
            with pytest.raises(SettingsError, match=r"line 2: .*'jump'"):
                read_codes()
    read_codes.cache_clear()


def test_the_text_decides_what_an_ambiguous_number_means() -> None:
    assert classify_code(200, "No security definition has been found").action == "negative"
    assert classify_code(200, "The contract description is ambiguous").error_type == "ambiguous"
    assert classify_code(162, "Historical data request pacing violation").error_type == "pacing"
    assert classify_code(162, "HMDS query returned no data").action == "skip"
    denied = classify_code(162, "No market data permissions for AMEX OPT")
    assert (denied.action, denied.error_type) == ("skip", "no_permission")
    assert classify_code(420, "Real-time pacing violation").action == "retry"
    for text in ("No market data permissions for NYSE STK", "Not subscribed to OPRA"):
        assert classify_code(162, text).error_type == "no_permission"
        assert classify_code(420, text).action == "degrade"
    unknown = classify_code(99999, "never heard of")
    assert (unknown.action, unknown.error_type) == ("wait", "unknown")
    assert {classify_code(code).error_type for code in (2100, 2176, 2199)} == {"notice"}
