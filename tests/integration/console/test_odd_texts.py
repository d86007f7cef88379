"""Texts that mean something to SQL, a shell, a file system or a terminal, in every field."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest

from loaders import log
from tests.integration.console.conftest import ADDRESS, NO_LIMIT, Open

TEXTS = (
    "'; drop table ops.runs; --",
    "1 or 1=1",
    '" or ""="',
    "../../../../etc/passwd",
    "/etc/passwd\0.jsonl",
    "$(touch planted) `touch planted` ; touch planted",
    "--help",
    "x\r\nset-cookie: planted=1",
    "%s %n {0.__class__} ${HOME}",
    "\x1b]0;planted\x07",
    "\ud800",
)


def start_nothing(_: Any, environ: Mapping[str, str], __: Any, ___: Any) -> int:
    """A process that has ended at once, as of a load that had nothing to do."""
    Path(environ[log.EXIT_FILE]).write_text("0")
    return 1


def list_calls(document: Any, text: str) -> Iterator[tuple[str, str, Any]]:
    """Method, address and body of each described call, with the text in one field after another."""
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            given = call.get("parameters", [])
            spoken = path
            for param in given:
                if param["in"] == "path":
                    spoken = spoken.replace(
                        f"{{{param['name']}}}", quote(text.encode("utf-8", "replace"), safe="")
                    )
            fields: dict[str, Any] = {}
            if body := call.get("requestBody"):
                named = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                fields = schemas[named].get("properties", {})
            yield method, spoken, {}
            for param in given:
                if param["in"] == "query":
                    plain = path.replace("{", "").replace("}", "")
                    yield (
                        method,
                        f"{plain}?{urlencode({param['name']: text.encode('utf-8', 'replace')})}",
                        {},
                    )
            for name in fields:
                for value in (text, [text], {text: text}):
                    own = {"source": "tdx", "job": "tdx_daily", "reason": "x", "names": ["1"]}
                    known = {n: v for n, v in own.items() if n in fields}
                    yield method, spoken, known | {name: value}


@pytest.mark.long
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_an_odd_text_in_any_field_is_a_text_or_refused(
    open_console: Open, prepared_dsn: str, text: str
) -> None:
    settings = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    settings |= {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn}
    caller = open_console(settings, limits=NO_LIMIT, spawn=start_nothing)
    own = {"origin": ADDRESS, "x-quotemill-page": caller.token, "content-type": "application/json"}
    document = caller.json("/api/openapi.json")
    calls = 0
    for method, path, body in list_calls(document, text):
        content = json.dumps(body) if method != "get" else None
        answer = caller.client.request(method, path, content=content, headers=own)
        assert answer.status_code < 500, (method, path, body, answer.text)
        assert "planted" not in answer.headers.get("set-cookie", "")
        assert "root:" not in answer.text
        calls += 1
    assert calls > 100
    with psycopg.connect(prepared_dsn) as conn:
        assert conn.execute("select count(*) from ops.runs").fetchall() == [(0,)]
    assert not list(caller.console.cwd.rglob("planted"))
