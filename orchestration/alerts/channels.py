"""How a message reaches people: channels by apprise, and the dead man's switch.

Settings that cannot be read, or that a lost file leaves empty, name no channel: each look with a source keeps the
last in `channels.json` of the home, which only its user may read. Their addresses hold tokens. apprise and the HTTP client log addresses, so their loggers are silent here, and what
they say of a failure is read for the status of the answer alone.
"""

import contextlib
import json
import logging
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from loaders import atomic_file
from loaders.alert_settings import AlertSettings
from loaders.errors import SettingsError
from loaders.settings import Settings

_FILE = "channels.json"
_LOGGERS = ("apprise", "urllib3", "requests", "requests_oauthlib", "httpx", "httpcore")
_STATUS = re.compile(r"error[=:]\s*(\d{3})")


@dataclass(frozen=True)
class Channel:
    """`name` is its place in the settings and the kind of it: `1 slack`. No name, repr or error has its address."""

    name: str
    url: SecretStr

    def send(self, title: str, body: str, *, is_bad: bool, attachment: Path | None = None) -> str:
        """Tell it; empty if it was taken, else why not, without the address."""
        with _silence() as heard:
            import apprise

            told = apprise.Apprise()
            if not told.add(self.url.get_secret_value()):
                return "apprise knows no such address, or it lacks a part"
            files = [str(attachment)] if attachment is not None and attachment.is_file() else None
            kind = apprise.NotifyType.FAILURE if is_bad else apprise.NotifyType.SUCCESS
            try:
                if told.notify(body=body, title=title, notify_type=kind, attach=files):
                    return ""
            except Exception as error:  # of a plugin; its text may have the address
                return type(error).__name__
        status = next((m.group(1) for line in heard if (m := _STATUS.search(line))), None)
        return f"it answered {status}" if status else "it cannot be reached, or refused the message"


def of(settings: Settings) -> list[Channel]:
    """The channels of the settings."""
    return [
        Channel(f"{number} {url.get_secret_value().partition('://')[0].lower()}", url)
        for number, url in enumerate(settings.alerts.urls, 1)
    ]


def remember(settings: Settings) -> None:
    """Keep the addresses and where they were named, or that there is none, for `remembered`. What cannot be kept
    stops nobody."""
    path, urls = settings.home / _FILE, [url.get_secret_value() for url in settings.alerts.urls]
    kept = {"urls": urls, "named_in": settings.origin("alerts.urls")}
    with contextlib.suppress(OSError):
        if not urls:
            path.unlink(missing_ok=True)
        elif kept != _kept(settings.home):
            settings.home.mkdir(parents=True, exist_ok=True)
            atomic_file.write(path, json.dumps(kept))


def remembered(home: Path) -> list[SecretStr]:
    """The addresses that the last look had; none where they were not kept."""
    try:
        return AlertSettings.model_validate({"urls": _kept(home).get("urls", [])}).urls
    except ValueError:  # pydantic's are of these
        return []


def emptied(settings: Settings) -> Path | None:
    """The settings file that named the channels of the last look and has no setting at all any more, where no channel
    is named elsewhere: it was lost, as channels that are taken away leave other settings behind."""
    if settings.alerts.urls or not remembered(settings.home):
        return None
    file = Path(str(_kept(settings.home).get("named_in")))
    is_elsewhere = not file.is_absolute() or file.suffix != ".toml"  # a variable
    return None if is_elsewhere or str(file) in settings.origins.values() or _says(file) else file


def _says(file: Path) -> bool:
    """Has it any setting, or cannot that be told?"""
    try:
        return bool(tomllib.loads(file.read_text("utf-8")))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def _kept(home: Path) -> dict[str, object]:
    try:
        kept = json.loads((home / _FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def or_remembered(settings: Settings) -> Settings:
    """The settings with the channels that the last look had, where they name none."""
    if settings.alerts.urls:
        return settings
    alerts = settings.alerts.model_copy(update={"urls": remembered(settings.home)})
    return settings.model_copy(update={"alerts": alerts})


def ping(settings: Settings) -> str:
    """Ask for the address of the dead man's switch; empty if that went well or there is none, else why not."""
    url = settings.alerts.ping_url
    if url is None:
        return ""
    with _silence():
        import httpx

        try:
            answer = httpx.get(
                url.get_secret_value(), timeout=settings.alerts.timeout, follow_redirects=True
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # their texts may have the address
            return f"it cannot be reached ({type(error).__name__})"
    return "" if answer.is_success else f"it answered {answer.status_code}"


def require(settings: Settings) -> Sequence[Channel]:
    """The channels. Raises SettingsError where there is none."""
    found = of(settings)
    if not found:
        raise SettingsError(
            "no channel is configured: alerts.urls is empty",
            hint='quotemill.toml: [alerts] urls = ["slack://…"]; docs/how-to/alerts.md lists forms',
        )
    return found


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _silence() -> Iterator[list[str]]:
    """What the clients log meanwhile goes to the list and nowhere else."""
    heard = _Heard()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    kept = [(log.handlers, log.propagate, log.level) for log in loggers]
    for log in loggers:
        log.handlers, log.propagate = [heard], False
        log.setLevel(logging.WARNING)
    try:
        yield heard.lines
    finally:
        for log, (handlers, propagate, level) in zip(loggers, kept, strict=True):
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)
