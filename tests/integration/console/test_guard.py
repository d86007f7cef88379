"""What pages of other sites, other names, wrong tokens and large or slow bodies get: nothing."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from orchestration.console.access import FAILURES
from orchestration.console.limits import Limits
from orchestration.console.pages.site import NAVIGATION
from tests.integration.console.conftest import ADDRESS, NO_LIMIT, NOW, Caller, Open

TEST = "/api/connection/test"


def error_of(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert set(document) == {"error", "hint", "exit_code"}
    return str(document["error"])


def test_a_name_that_dns_of_another_site_points_here_gets_nothing(open_console: Open) -> None:
    caller, evil = open_console(), "evil.example"
    for host in (evil, f"{evil}:8765", f"127.0.0.1.{evil}", f"localhost@{evil}", ""):
        assert "is not" in error_of(caller.get("/api/health", headers={"host": host}), 421), host
    # nor is loopback by any of its names, or through a tunnel, another site
    for host in ("localhost:9000", "127.0.0.1", "[::1]:8765", "LOCALHOST:8765"):
        assert caller.get("/api/health", headers={"host": host}).status_code == 200, host


def test_a_page_of_another_origin_changes_nothing(open_console: Open) -> None:
    caller = open_console()
    for other in ("evil.example", "localhost:3000", "127.0.0.1:8766"):
        assert " site" in error_of(caller.call(TEST, origin=f"http://{other}"), 403), other
    assert " site" in error_of(caller.call(TEST, origin="null"), 403)


def test_what_another_site_embeds_is_refused_but_a_link_opens(open_console: Open) -> None:
    caller = open_console()
    for site in ("cross-site", "same-site"):
        embedded = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
        error_of(caller.get("/api/jobs", headers=embedded), 403)
        followed = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
        assert caller.get("/", headers=followed).status_code == 200


def test_a_change_needs_the_token_of_an_open_page(open_console: Open) -> None:
    caller = open_console()
    assert caller.call(TEST).status_code == 200
    for wrong in ("", "0" * 64, "\x7f"):
        error_of(caller.call(TEST, **{"x-quotemill-page": wrong}), 403)
    token = caller.token
    caller.client.cookies.clear()
    own = {"origin": ADDRESS, "x-quotemill-page": token}
    error_of(caller.client.post(TEST, json={}, headers=own), 401)


def use_link(caller: Caller, key: str) -> Any:
    """What the script of the page to sign in does with a link."""
    return caller.client.post("/api/session", json={"token": key}, headers={"origin": ADDRESS})


def test_another_user_of_this_machine_reads_and_changes_nothing(open_console: Open) -> None:
    caller = open_console(limits=NO_LIMIT)
    calls = caller.json("/api/openapi.json")["paths"]
    token = caller.token
    caller.client.cookies.clear()
    own = {"origin": ADDRESS, "x-quotemill-page": token}
    tried = 0
    for path, methods in calls.items():
        for method in methods:
            if path != "/api/session":
                address = re.sub(r"{\w+}", "1", path)
                answer = caller.client.request(method, address, json={}, headers=own)
                assert "quotemill console --link" in error_of(answer, 401), (method, path)
                tried += 1
    assert tried > 30
    for path in [*dict(NAVIGATION), "/report", "/jobs/1/part", "/nothing"]:
        error_of(caller.get(path), 401)
        page = caller.get(path, headers={"accept": "text/html"})
        assert page.status_code == 401
        assert "quotemill console --link" in page.text
        assert "set-cookie" not in page.headers
    assert caller.get("/static/console.js").status_code == 200


def test_a_link_works_once_and_for_an_hour(open_console: Open) -> None:
    times = [NOW]
    caller = open_console(clock=lambda: times[0])
    caller.client.cookies.clear()
    key = caller.console.access.new_link(NOW)
    opened = use_link(caller, key)
    assert opened.status_code == 200
    sent = opened.headers["set-cookie"].lower()
    assert sent.startswith("quotemill_8765_session=")
    assert "; httponly" in sent
    assert "; samesite=strict" in sent
    assert caller.get("/api/health").status_code == 200
    caller.client.cookies.clear()
    assert "already used or has expired" in error_of(use_link(caller, key), 403)
    error_of(caller.get("/api/health"), 401)
    late = caller.console.access.new_link(NOW)
    times[0] = NOW + timedelta(hours=1)
    error_of(use_link(caller, late), 403)
    # each browser has a link of its own; the home has no key, and nobody else may read there
    keys = [caller.console.access.new_link(times[0]) for _ in range(2)]
    links = caller.console.access.folder / "links"
    assert {path.stat().st_mode & 0o077 for path in [links, *links.iterdir()]} == {0}
    assert not any(key in path.name + path.read_text() for path in links.iterdir() for key in keys)
    assert [use_link(caller, key).status_code for key in keys] == [200, 200]
    assert list(links.iterdir()) == []


def test_failed_tries_are_logged_without_their_keys_and_limited(open_console: Open) -> None:
    caller = open_console(limits=NO_LIMIT)
    session = dict(caller.client.cookies)
    caller.client.cookies.clear()
    key = caller.console.access.new_link(NOW)
    bearer = {"authorization": "Bearer wrong-token"}
    statuses = [use_link(caller, f"wrong-key-{n}").status_code for n in range(FAILURES)]
    assert statuses == [403] * FAILURES
    error_of(use_link(caller, "wrong-key"), 429)
    error_of(caller.get("/api/health", headers=bearer), 429)
    [log] = (caller.console.settings().home / "logs").glob("run-*.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    refused = [line for line in lines if "the console refused" in line["event"]]
    assert len(refused) == FAILURES
    assert {line["level"] for line in refused} == {"warning"}
    assert "wrong-" not in log.read_text()
    # they lock nobody out: neither who has a session, nor who has a link
    assert use_link(caller, key).status_code == 200
    caller.client.cookies.clear()
    caller.client.cookies.update(session)
    assert caller.get("/api/health").status_code == 200


def test_a_session_ends_with_its_console_or_after_30_days(open_console: Open) -> None:
    times = [NOW]
    caller = open_console(clock=lambda: times[0])
    times[0] = NOW + timedelta(days=29)
    assert caller.get("/api/health").status_code == 200
    times[0] = NOW + timedelta(days=31)
    error_of(caller.get("/api/health"), 401)
    next_one = open_console()
    assert next_one.get("/api/health").status_code == 200
    next_one.client.cookies = caller.client.cookies
    assert "quotemill console --link" in error_of(next_one.get("/api/health"), 401)
    for forged in ("", "1", "99999999999..", "x" * 43):
        next_one.client.cookies.set("quotemill_8765_session", forged, domain="127.0.0.1")
        error_of(next_one.get("/api/health"), 401)


def test_a_session_ends_by_signing_out_or_with_a_new_token(open_console: Open) -> None:
    caller = open_console()
    access, session = caller.console.access, dict(caller.client.cookies)
    other = access.new_session(NOW)
    assert 'id="sign-out"' in caller.get("/settings").text
    left = caller.client.request("DELETE", "/api/session", json={}, headers={"origin": ADDRESS})
    assert left.status_code == 200
    assert not caller.client.cookies
    caller.client.cookies.update(session)  # who has copied it
    error_of(caller.get("/api/health"), 401)
    assert access.is_session(other, NOW)
    access.new_token(NOW)
    assert not access.is_session(other, NOW)
    assert access.is_session(access.new_session(NOW), NOW)


def test_a_script_brings_the_token_which_is_stored_as_its_hash_alone(open_console: Open) -> None:
    caller = open_console()
    token = caller.console.access.new_token(NOW)
    assert len(token) == 43  # 32 bytes
    bearer = {"authorization": f"Bearer {token}"}
    assert caller.client.post(TEST, json={}, headers=bearer).status_code == 200
    files = [path for path in caller.console.access.folder.rglob("*") if path.is_file()]
    assert all(token.encode() not in path.read_bytes() for path in files)
    assert {path.stat().st_mode & 0o077 for path in [*files, caller.console.access.folder]} == {0}
    newer = caller.console.access.new_token(NOW)
    error_of(caller.client.post(TEST, json={}, headers=bearer), 401)
    for wrong in (f"Bearer {newer}x", "Bearer ", f"Basic {newer}", "Bearer \xff"):
        sent = {"authorization": wrong.encode("latin-1")}
        error_of(caller.get("/api/jobs", headers=sent), 401)


def test_a_browser_on_another_machine_may_give_the_token(open_console: Open) -> None:
    caller = open_console(names=("quotes.lan",))
    token = caller.console.access.new_token(NOW)
    caller.client.base_url = "http://quotes.lan:8765"
    error_of(caller.get("/api/health"), 401)
    own = {"origin": "http://quotes.lan:8765"}
    body = {"token": token}
    assert caller.client.post("/api/session", json=body, headers=own).status_code == 200
    assert caller.get("/").status_code == 200


def test_a_body_beyond_the_limit_or_of_another_kind_is_refused(open_console: Open) -> None:
    caller = open_console(limits=Limits(body=1000))
    assert "1,000 bytes" in error_of(caller.call(TEST, {"host": "x" * 1000}), 413)
    own = {"origin": ADDRESS, "x-quotemill-page": caller.token}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        sent = own | {"content-type": kind}
        error_of(caller.client.post(TEST, content=b"{}", headers=sent), 415)
    broken = own | {"content-type": "application/json"}
    error_of(caller.client.post(TEST, content=b"{", headers=broken), 422)
    error_of(caller.client.post(TEST, content=b"\xff\xfe", headers=broken), 422)
    text = "the body is not JSON in UTF-8"
    assert error_of(caller.client.post(TEST, content=b"*\xff(", headers=broken), 422) == text
    error_of(caller.client.post(TEST, content=b"[" * 900, headers=broken), 422)


def test_too_many_calls_in_a_second_are_put_off(open_console: Open) -> None:
    caller = open_console(limits=Limits(calls=30, changes=2))
    token, statuses = caller.token, []
    own = {"origin": ADDRESS, "x-quotemill-page": token}
    for _ in range(8):
        statuses.append(caller.client.post(TEST, json={}, headers=own))
    refused = [answer for answer in statuses if answer.status_code == 429]
    assert refused
    assert refused[0].headers["retry-after"] == "1"
    assert statuses[0].status_code == 200
    assert 429 in {caller.get("/static/console.js").status_code for _ in range(60)}


def test_each_answer_says_what_a_browser_may_do_with_it(open_console: Open) -> None:
    caller = open_console()
    for path in ("/", "/api/health", "/nothing", "/static/console.js"):
        headers = caller.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == (
            "no-store" if "static" not in path else "public, max-age=31536000, immutable"
        )


def test_a_page_has_no_script_or_style_of_its_own(open_console: Open) -> None:
    text = open_console().get("/").text
    assert "<style" not in text
    assert " style=" not in text
    assert " onclick=" not in text
    assert text.count("<script") == text.count("<script src=")


def test_no_method_but_those_described_does_anything(open_console: Open) -> None:
    caller = open_console()
    for method in ("DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = caller.call("/api/jobs", method=method)
        assert error_of(answer, 405).endswith(" not allowed")
    assert caller.get("/api/connection/test").status_code == 405


def test_an_error_of_ours_is_an_answer_without_a_traceback(
    open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = open_console()

    def broken() -> None:
        raise ZeroDivisionError("by nought, with password=very-secret")

    monkeypatch.setattr(caller.console, "find_warehouse", broken)
    answer = caller.get("/api/jobs")
    assert "ZeroDivisionError" in error_of(answer, 500)
    assert answer.json()["exit_code"] == 1
    assert "Traceback" not in answer.text
    assert "very-secret" not in answer.text
    [page] = [caller.get("/")]
    assert page.status_code == 500
    assert "very-secret" not in page.text


def test_the_description_has_every_call_and_its_errors(open_console: Open) -> None:
    document = open_console().json("/api/openapi.json")
    assert "/api/jobs/{job_id}/events" in document["paths"]
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            assert call.get("description") or path in ("/api/session",), (method, path)
            assert {"200", "202"} & set(call["responses"]), (method, path)
            assert set(call["responses"]) >= {"409", "422", "429", "502"}, (method, path)
    text = json.dumps(document)
    assert text.count("ValidationError") == 0
    named = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', text))
    assert "ErrorAnswer" in named
    assert named <= set(document["components"]["schemas"])
