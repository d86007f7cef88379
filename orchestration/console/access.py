"""Who may use the console: a link that works once, the session of a browser, the token of scripts.

Links and the token are in the folder `console` of the home, which only its user may read, each as
its hash alone: any console of the home takes them. A session ends with the process that gave it,
and with a new token.
"""

import contextlib
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiolimiter import AsyncLimiter

from loaders import log
from loaders.files import whole_file

TOKEN_BYTES = 32
SIGNED_IN = timedelta(days=30)  # how long a browser may stay
LINK_LASTS = timedelta(hours=1)
FAILURES = 20  # in a minute that are answered and logged one by one
_TOKEN, _LINKS = "token.json", "links"


@dataclass(frozen=True)
class Access:
    """The token and links below `folder`, made at the first use, and sessions of this process.

    The page of a browser has its session in a cookie; its forms send what `page_token` makes of it.
    """

    folder: Path
    _sessions: dict[str, datetime] = field(default_factory=dict, repr=False, compare=False)
    _failures: AsyncLimiter = field(
        default_factory=lambda: AsyncLimiter(FAILURES, 60), repr=False, compare=False
    )

    def new_link(self, now: datetime) -> str:
        """The key of a new link, which works once within an hour."""
        links = self.folder / _LINKS
        self._make_folder()
        with whole_file.explain_unwritable(links):
            links.mkdir(mode=0o700, exist_ok=True)
            for path in links.iterdir():
                if not self._is_new(path, now):
                    path.unlink(missing_ok=True)
            key = secrets.token_urlsafe(TOKEN_BYTES)
            whole_file.write(links / _digest(key), (now + LINK_LASTS).isoformat())
        return key

    def use_link(self, key: str, now: datetime) -> bool:
        """Whether this is the key of a link, which is then used up."""
        path = self.folder / _LINKS / _digest(key)
        is_new = self._is_new(path, now)
        try:
            path.unlink()  # of two callers at once one gets it
        except OSError:
            return False
        return is_new

    @staticmethod
    def _is_new(link: Path, now: datetime) -> bool:
        try:
            return now < datetime.fromisoformat(link.read_text("utf-8"))
        except (OSError, ValueError):
            return False

    def new_session(self, now: datetime) -> str:
        """A session of 30 days."""
        for session, until in list(self._sessions.items()):
            if until <= now:
                self._sessions.pop(session, None)
        session = secrets.token_urlsafe(TOKEN_BYTES)
        self._sessions[self._key_of(session)] = now + SIGNED_IN
        return session

    def is_session(self, session: str, now: datetime) -> bool:
        until = self._sessions.get(self._key_of(session))
        return until is not None and now < until

    def end_session(self, session: str) -> None:
        self._sessions.pop(self._key_of(session), None)

    def _key_of(self, session: str) -> str:
        """The key that a session is kept by: a new token ends all sessions."""
        return _digest(f"{self._stored()} {session}")

    @staticmethod
    def page_token(session: str) -> str:
        return _digest(f"page {session}")

    def is_page_token(self, session: str, token: str) -> bool:
        return _equal(self.page_token(session), token)

    def new_token(self, now: datetime) -> str:
        """Make a token of 32 random bytes in place of the last one; only its hash stays."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        stored = {"sha256": _digest(token), "made_at": now.astimezone(UTC).isoformat()}
        self._make_folder()
        whole_file.write(self.folder / _TOKEN, json.dumps(stored) + "\n")
        return token

    def is_token(self, token: str) -> bool:
        """Whether this is the token; takes the same time for each that is not."""
        stored = self._stored()
        return _equal(stored or "0" * 64, _digest(token)) and bool(stored)

    async def note_failure(self, text: str, client: str) -> bool:
        """Log that a caller was refused; False, and no line, where too many were of late."""
        if not self._failures.has_capacity():
            return False
        await self._failures.acquire()
        log.write("warning", f"the console refused {text}", detail={"client": client})
        return True

    def _stored(self) -> str | None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads((self.folder / _TOKEN).read_text("utf-8"))["sha256"])
        return None

    def _make_folder(self) -> None:
        with whole_file.explain_unwritable(
            self.folder, hint="Set `home` to a folder of this user."
        ):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
