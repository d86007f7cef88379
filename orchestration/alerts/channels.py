"""Send messages: channels by apprise, and the dead man's switch.

Addresses hold tokens. apprise and the HTTP client log addresses, so their loggers are silent here,
and only the answer's status, and a mail server's text, are taken from their error texts.
"""

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from loaders.settings import Settings
from quotemill.errors import SettingsError

_LOGGERS = ("apprise", "urllib3", "requests", "requests_oauthlib", "httpx", "httpcore")
PING_SECONDS = 10.0  # for the answer of ping_url: an alert waits for it
_STATUS = re.compile(r"error[=:]\s*(\d{3})")
_MAIL_ANSWER = re.compile(r"\((\d{3}), b(['\"])(.*?)\2")
_NO_SOCKS = "Missing dependencies for SOCKS support"  # of requests


@dataclass(frozen=True)
class Channel:
    """`name` is the place in the settings and the kind: `1 slack`. Only `url` has the address."""

    name: str
    url: SecretStr

    def send(self, title: str, body: str, *, is_bad: bool, attachment: Path | None = None) -> str:
        """Send a message; empty if it was accepted, else why not, without the address."""
        with _captured_logs() as lines:
            import apprise

            target = apprise.Apprise()
            if not target.add(self.url.get_secret_value()):
                return "Apprise does not support this URL, or a part of it is missing"
            files = [str(attachment)] if attachment is not None and attachment.is_file() else None
            kind = apprise.NotifyType.FAILURE if is_bad else apprise.NotifyType.SUCCESS
            try:
                if target.notify(body=body, title=title, notify_type=kind, attach=files):
                    return ""
            except Exception as error:  # of a plugin; its text may have the address
                return type(error).__name__
        return _explain(lines, self.url.get_secret_value())


def _explain(lines: Sequence[str], url: str) -> str:
    """Why a message was not accepted, by what apprise logged."""
    if any(_NO_SOCKS in line for line in lines):
        return (
            "a socks5:// proxy in the environment needs PySocks: pip install pysocks, or unset "
            "ALL_PROXY, HTTPS_PROXY and HTTP_PROXY"
        )
    if mail := next((m for line in lines if (m := _MAIL_ANSWER.search(line))), None):
        secret = unquote(urlsplit(url).password or "")
        text = mail[3].replace(secret, "***") if secret else mail[3]
        return f"the mail server responded with {mail[1]}: {text}"
    status = next((m[1] for line in lines if (m := _STATUS.search(line))), None)
    return f"HTTP {status}" if status else "it is unreachable or refused the message"


def configured_channels(settings: Settings) -> list[Channel]:
    """The channels that the settings name."""
    return [
        Channel(f"{number} {url.get_secret_value().partition('://')[0].lower()}", url)
        for number, url in enumerate(settings.alerts.urls, 1)
    ]


def require_channels(settings: Settings) -> Sequence[Channel]:
    """The channels that the settings name. Raises SettingsError if it names none."""
    channels = configured_channels(settings)
    if not channels:
        raise SettingsError(
            "no channel is configured: alerts.urls is empty",
            hint='Set urls = ["slack://…"], as for Apprise, under [alerts] in quotemill.toml.',
        )
    return channels


def ping(settings: Settings) -> str:
    """Request the address of the dead man's switch.

    Empty if it answered, or none is configured; else why not.
    """
    url = settings.alerts.ping_url
    if url is None:
        return ""
    with _captured_logs():
        from loaders.requests.http import internet_client

        try:
            with (
                internet_client(PING_SECONDS) as client,
                client.stream("GET", url.get_secret_value()) as answer,  # its text says nothing
            ):
                pass
        except SettingsError as error:
            return error.with_hint
        except Exception as error:  # the texts of those of httpx may have the address
            return f"it is unreachable ({type(error).__name__})"
    return "" if answer.is_success else f"HTTP {answer.status_code}"


class _LineCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _captured_logs() -> Iterator[list[str]]:
    """Collect what the client libraries log; nothing of it goes anywhere else."""
    collector = _LineCollector()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(log.handlers, log.propagate, log.level) for log in loggers]
    for log in loggers:
        log.handlers, log.propagate = [collector], False
        log.setLevel(logging.DEBUG)  # apprise tells a mail server's answer at this level
    try:
        yield collector.lines
    finally:
        for log, (handlers, propagate, level) in zip(loggers, before, strict=True):
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)
