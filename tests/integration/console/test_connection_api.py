"""Testing a connection before it is saved."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from loaders import sources
from loaders.check import describe_service
from tests.integration.console.conftest import Open

TEST = "/api/connection/test"


def test_a_database_by_its_parts_is_checked_as_the_doctor_does(
    open_console: Open, warehouse_dsn: str
) -> None:
    params: dict[str, Any] = conninfo_to_dict(warehouse_dsn)
    parts = {"host": params["host"], "port": int(params.get("port", 5432))}
    parts |= {"name": params["dbname"], "user": params["user"]}
    caller = open_console()
    document = caller.call(TEST, parts).json()
    assert document["ok"] is True
    names = [check["name"] for check in document["checks"]]
    assert names[0] == "warehouse"
    assert {"server", "privileges", "clock"} <= set(names)
    caller.get("/?lang=zh")
    said = caller.call(TEST, parts).json()["checks"]
    assert {"数据库", "服务器", "权限", "时钟"} <= {check["name"] for check in said}
    assert {check["status"] for check in said} <= {"正常", "警告"}
    caller.get("/?lang=en")

    with psycopg.connect(warehouse_dsn) as conn:
        conn.execute("create schema taken")
        conn.execute("create table taken.theirs (a int)")
    wrong = caller.call(TEST, parts | {"schema": "Not A Name"})
    assert (wrong.status_code, wrong.json()["exit_code"]) == (409, 3)
    document = caller.call(TEST, parts | {"name": "nowhere", "password": "very-secret"}).json()
    assert document["ok"] is False
    assert '"nowhere"' in document["checks"][0]["text"]
    assert "very-secret" not in str(document)


def test_a_saved_password_is_sent_to_its_own_server_alone(
    open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = "postgresql://quotes:very-secret@db.lan:5433/market"
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": saved})
    tried: list[str] = []

    def examine(settings: Any, _: Any, *, names: Any) -> list[Any]:
        tried.append(settings.warehouse_url.get_secret_value())
        return []

    monkeypatch.setattr("orchestration.checks.gather.examine", examine)
    same = {"host": "db.lan", "port": 5433, "user": "quotes", "name": "other"}
    for parts in (
        same,
        same | {"host": "evil.example"},
        same | {"port": 5434},
        same | {"user": "root"},
        same | {"sslmode": "disable"},
    ):
        assert caller.call(TEST, parts).status_code == 200
    assert ["very-secret" in url for url in tried] == [True, False, False, False, False]
    # a value that adds parameters to the address is refused
    for parts in (
        same | {"host": "db.lan:5433/market?hostaddr=203.0.113.9&options="},
        same | {"host": "db.lan,evil.example"},
        same | {"host": "evil.example@db.lan"},
        same | {"sslmode": "prefer&hostaddr=203.0.113.9"},
    ):
        assert caller.call(TEST, parts).status_code == 422
    assert len(tried) == 5
    strict = open_console({"QUOTEMILL_WAREHOUSE_URL": f"{saved}?sslrootcert=/ca.pem"})
    assert strict.call(TEST, same).status_code == 200
    assert "very-secret" not in tried[-1]


def test_a_source_is_asked_by_a_real_request(open_console: Open) -> None:
    caller = open_console({"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"})
    document = caller.call(TEST, {"source": "tdx"}).json()
    assert document["ok"] is False
    assert document["checks"][0]["exit_code"] == 4
    unknown = caller.call(TEST, {"source": "nothing"})
    assert unknown.status_code == 422
    assert unknown.json()["error"].endswith(" nothing")


def test_a_source_is_judged_by_its_warnings_as_the_doctor_does(
    open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "the gateway's clock differs by -99092 s: slots follow this machine's clock"
    warned = describe_service("the gateway answers", [text], {})
    monkeypatch.setattr(sources, "find", lambda _: SimpleNamespace(check=lambda *_: warned))
    caller = open_console()
    document = caller.call(TEST, {"source": "ib"}).json()
    seen = [(c["verdict"], c["sentence"]) for c in document["checks"]]
    assert seen == [("ok", "ib: the gateway answers"), ("warn", text)]
    assert [(c["status"], c["text"]) for c in document["checks"]] == seen  # the older names
    assert (document["ok"], document["warned"]) == (True, True)


def test_a_wrong_call_is_refused_without_its_values(open_console: Open) -> None:
    caller = open_console()
    for body in (
        {"port": 5432},
        {"host": "a", "port": 0},
        {"host": "a", "port": "5432; drop"},
        {"host": "a" * 3000},
        {"source": "tdx", "host": "a"},
        {"unknown": 1},
        [],
        "text",
        {"password": ["very-secret"]},
    ):
        answer = caller.call(TEST, body)
        assert (answer.status_code, answer.json()["exit_code"]) == (422, 2), body
        assert "very-secret" not in answer.text
