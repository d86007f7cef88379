"""The cause load:SOURCE while keys of a source fail: sent again for each further key that fails."""

import psycopg

from loaders.engine import failed_keys
from loaders.engine.failed_keys import FailedKey
from loaders.errors import PartialError
from orchestration.alerts import book
from orchestration.alerts.book import Cause, Entry, Verdicts

_PREFIX = "load:"
_PARTIAL = str(PartialError.exit_code)
_SHOWN = 3  # keys in a message beside the newest
_LONGEST = 500  # characters of a reason: its end may name the way out


def check_failed_keys(conn: psycopg.Connection, verdicts: Verdicts) -> Verdicts:
    """Verdicts on the failed keys of sources, in the place of those that only know a load.

    A load of other keys that succeeds resolves nothing. Acknowledged keys count no more.
    """
    entries = book.read(conn, only_open=True)
    open_keys = [failure for failure in failed_keys.read(conn) if failure.is_open]
    judged: dict[str, Cause | None] = {}
    for name in {n for n in (*verdicts, *entries) if n.startswith(_PREFIX)}:
        cause, entry = verdicts.get(name), entries.get(name)
        own = [f for f in open_keys if f.source == name.removeprefix(_PREFIX)]
        if name not in verdicts:  # no load has ended: keys may be repaired or acknowledged since
            if _newest_sent(entry) is not None:
                judged[name] = _describe(own, entry)
        elif (cause is None and entry is not None) or (
            cause is not None and cause.state == _PARTIAL and own
        ):
            judged[name] = _describe(own, entry)
    return judged


def _describe(failures: list[FailedKey], entry: Entry | None) -> Cause | None:
    if not failures:
        return None
    newest, *others = failures[::-1][: _SHOWN + 1]
    count = len(failures)
    more = f"; also {', '.join(f'{f.dataset} {f.key}' for f in others)}" if others else ""
    more += " and more" if count > _SHOWN + 1 else ""
    text = (
        f"load of {newest.source} failed (exit code {_PARTIAL}): {count:,} "
        f"{'key has' if count == 1 else 'keys have'} failed and were not loaded since, the newest: "
        f"{newest.dataset} {newest.key}: {_shorten(newest.reason)}{more}. "
        f"{_describe_retries(failures)}; `quotemill findings --ack "
        f"'{newest.dataset} {newest.key}' --reason \"…\"` accepts the newest"
    )
    number = max(newest.failure_id, _newest_sent(entry) or 0)
    return Cause("error", text, "quotemill status", f"{_PARTIAL} {number}")


def _describe_retries(failures: list[FailedKey]) -> str:
    """The commands that load the keys: a retry is of one job."""
    jobs = sorted({failure.job_id for failure in failures}, reverse=True)
    commands = ", ".join(f"`loaders retry {job_id}`" for job_id in jobs[:_SHOWN])
    more = "; `quotemill status` names more of them" if len(jobs) > _SHOWN else ""
    return f"{commands} {'loads' if len(jobs) == 1 else 'load'} them{more}"


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _LONGEST else f"{reason[: _LONGEST - 1]}…"


def _newest_sent(entry: Entry | None) -> int | None:
    """The newest failed key that the state of an entry stands for."""
    code, _, number = entry.state.partition(" ") if entry else ("", "", "")
    return int(number) if code == _PARTIAL and number.isdigit() else None
