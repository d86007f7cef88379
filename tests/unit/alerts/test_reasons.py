"""A channel that fails says why: the mail server's answer, a proxy that cannot be used."""

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from loaders.requests.http import PROXIES, internet_client
from loaders.settings import Settings
from orchestration.alerts.channels import Channel, ping
from orchestration.alerts.settings import AlertSettings
from quotemill.errors import SettingsError


class RefusingMailServer(socketserver.StreamRequestHandler):
    """Refuses each recipient, as a server does for a sender it does not know."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail.example ESMTP\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            answers = {
                b"EHLO": b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n",
                b"AUTH": b"535 5.7.8 s3cret-of-mine: authentication failed\r\n",
                b"QUIT": b"221 bye\r\n",
            }
            self.wfile.write(answers.get(verb, b"250 ok\r\n"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def mail_port() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RefusingMailServer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_mail_server_that_refuses_is_quoted_without_the_password(mail_port: int) -> None:
    url = f"mailto://me:s3cret-of-mine@127.0.0.1:{mail_port}?to=me@example.com&from=me@example.com"
    why = Channel("1 mailto", SecretStr(url)).send("test", "body", is_bad=False)
    assert " 535: 5.7.8 ***: " in why


def test_a_channel_behind_a_socks_proxy_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    why = Channel("1 json", SecretStr("json://192.0.2.1/x")).send("test", "body", is_bad=False)
    assert "PySocks" in why


@pytest.mark.parametrize("proxy", ["socks5://me:s3cret@127.0.0.1:9", "ftp://me:s3cret@127.0.0.1"])
def test_a_proxy_that_cannot_be_used_is_named_with_its_variable(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingsError, match="ALL_PROXY") as refused:
        internet_client(1.0)
    assert "unset" in refused.value.hint
    assert "s3cret" not in str(refused.value)


def test_the_dead_mans_switch_behind_a_socks_proxy_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    alerts = AlertSettings(ping_url=SecretStr("https://192.0.2.1/token"))
    why = ping(Settings(home=tmp_path, alerts=alerts))
    assert "ALL_PROXY" in why
    assert "token" not in why
