"""Who may use the console: the secret of its pages, and the token of scripts and other machines.

Both are in the folder `console` of the home, which only its user may read: the secret as it is, so
that an open page outlives a restart, the token as its hash alone.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loaders.files import whole_file
from quotemill.errors import SettingsError

TOKEN_BYTES = 32
SIGNED_IN = timedelta(days=30)  # how long a browser that gave the token may stay
CLOCK_STEP = timedelta(days=1)  # by which a clock may be set back and a session go on
_SECRET, _TOKEN = "secret", "token.json"


@dataclass(frozen=True)
class Access:
    """The secrets below `folder`, which is made at the first use.

    Where that cannot be written, an open page lasts until the end of this process.

    The page of a browser has an id in a cookie; its forms send what `page_token` makes of it. A
    browser that gave the token has a session in another cookie.
    """

    folder: Path
    _own: bytes = field(
        default_factory=lambda: secrets.token_bytes(TOKEN_BYTES), repr=False, compare=False
    )

    def page_token(self, page_id: str) -> str:
        return self._sign(f"page {page_id}")

    def is_page_token(self, page_id: str, token: str) -> bool:
        return bool(page_id) and _equal(self.page_token(page_id), token)

    def new_token(self, now: datetime) -> str:
        """Make a token of 32 random bytes in place of the last one; only its hash stays."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        stored = {"sha256": _digest(token), "made_at": now.astimezone(UTC).isoformat()}
        self._make_folder()
        whole_file.write(self.folder / _TOKEN, json.dumps(stored) + "\n")
        return token

    @property
    def token_made_at(self) -> datetime | None:
        """When the token was made; None before the first."""
        stored = self._stored()
        return datetime.fromisoformat(stored["made_at"]) if stored else None

    def is_token(self, token: str) -> bool:
        """Whether this is the token; takes the same time for each that is not."""
        stored = self._stored()
        return _equal(stored["sha256"] if stored else "0" * 64, _digest(token)) and bool(stored)

    def new_session(self, now: datetime) -> str:
        """A session that ends with the token, or in 30 days."""
        until = int((now + SIGNED_IN).timestamp())
        nonce = secrets.token_urlsafe(16)
        return f"{until}.{nonce}.{self._sign(self._session_text(str(until), nonce))}"

    def is_session(self, session: str, now: datetime) -> bool:
        until, _, rest = session.partition(".")
        nonce, _, signature = rest.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 12 and self._stored()):
            return False
        is_ours = _equal(self._sign(self._session_text(until, nonce)), signature)
        left = int(until) - now.timestamp()
        # one of a time when the clock was years ahead does not last for years
        return is_ours and 0 < left <= (SIGNED_IN + CLOCK_STEP).total_seconds()

    def _session_text(self, until: str, nonce: str) -> str:
        return f"session {(self._stored() or {}).get('sha256')} {until} {nonce}"

    def _stored(self) -> dict[str, str] | None:
        try:
            stored = json.loads((self.folder / _TOKEN).read_text("utf-8"))
            return {"sha256": str(stored["sha256"]), "made_at": str(stored["made_at"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret(), text.encode(), hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        """The stored secret; where the home cannot hold one, that of this process."""
        path = self.folder / _SECRET
        with contextlib.suppress(OSError):
            stored = path.read_bytes()
            if len(stored) == TOKEN_BYTES:
                return stored
        try:
            self._make_folder()
            # written whole under a name of its own: of two servers at once the first one's counts
            part = self.folder / f".{_SECRET}.{os.getpid()}"
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(TOKEN_BYTES))
                    file.flush()
                    os.fsync(descriptor)
                with contextlib.suppress(FileExistsError):
                    os.link(part, path)
            finally:
                part.unlink(missing_ok=True)
            stored = path.read_bytes()
        except (OSError, SettingsError):
            return self._own
        # a part of one, that a full disk or a crash of other programs left, protects nothing
        return stored if len(stored) == TOKEN_BYTES else self._own

    def _make_folder(self) -> None:
        with whole_file.explain_unwritable(self.folder, hint="`home` names a folder of this user"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
