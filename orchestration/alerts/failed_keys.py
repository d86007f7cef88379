"""The cause load:SOURCE while keys of a source fail: sent again for each further key that fails.

A key that names a moment (`AAPL 2026-11-20T15:00Z`) is not one to repair: its subject counts.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from loaders import sources
from loaders.engine import failed_keys
from loaders.engine.failed_keys import FailedKey
from loaders.engine.jobs import Task
from loaders.warehouse.sql_files import read_sql
from orchestration.alerts import book
from orchestration.alerts.book import Cause, Entry, Verdicts, name_some, split_state
from quotemill.errors import PartialError

_PREFIX = "load:"
_PARTIAL = str(PartialError.exit_code)
_SHOWN = 3  # keys in a message beside the newest
_LONGEST = 500  # characters of a reason: its end may name the way out
_MOMENT = re.compile(r" \d{4}-\d{2}-\d{2}\S*$")


def check_failed_keys(conn: psycopg.Connection, verdicts: Verdicts) -> Verdicts:
    """Verdicts on the failed keys of sources, in the place of those that only know a load.

    A load of other keys that succeeds resolves nothing. Acknowledged keys count no more.
    """
    entries = book.read_entries(conn, only_open=True)
    open_keys = [failure for failure in failed_keys.read_failures(conn) if failure.is_open]
    judged: dict[str, Cause | None] = {}
    for name in {n for n in (*verdicts, *entries) if n.startswith(_PREFIX)}:
        cause, entry = verdicts.get(name), entries.get(name)
        own = [f for f in open_keys if f.source == name.removeprefix(_PREFIX)]
        if name not in verdicts:  # no load has ended: keys may be repaired or acknowledged since
            passed = entry is not None and split_state(entry.state)[1]  # judged by the next load
            if _newest_sent(entry) is not None and (own or not passed):
                judged[name] = _describe(own, entry)
        elif cause is None and entry is not None:
            judged[name] = _describe(own, entry)
        elif cause is not None and cause.state == _PARTIAL and own:
            judged[name] = _describe(own, entry, cause.subjects)
    return judged


def list_subjects(source: str, tasks: Iterable[Task]) -> tuple[str, ...]:
    """The subjects of the keys of moments that failed in the tasks of a source."""
    passing = _list_passing(source)
    failed = {
        _MOMENT.sub("", k) for task in tasks if task.dataset in passing for k in task.failures
    }
    return tuple(sorted(failed))


def read_subjects(conn: psycopg.Connection, run: Mapping[str, Any]) -> tuple[str, ...]:
    """The failures in the loads of a recorded run of `loaders run`: subjects and keys.

    Acknowledged keys are left out. The run's process is the one that asked for the first load on
    its host, of the source that the command names.
    """
    words = run["command"].split()
    if words[:2] != ["loaders", "run"]:
        return ()
    # options may stand before the source; without one the command loads every source
    named = [word for word in words[2:] if word in sources.MODULES][:1] or [*sources.MODULES]
    rows = conn.execute(read_sql(__package__, "failed_in_run").encode(), {**run, "sources": named})
    passing = {name: _list_passing(name) for name in named}
    names = (
        _MOMENT.sub("", key) if dataset in passing[source] else f"{dataset} {key}"
        for source, dataset, key in rows
    )
    return tuple(sorted(set(names)))


def _list_passing(source: str) -> set[str]:
    """The datasets of a source whose keys name moments."""
    return {data.name for data in sources.find(source).datasets if not data.recurs}


def _describe(
    failures: list[FailedKey], entry: Entry | None, subjects: tuple[str, ...] = ()
) -> Cause | None:
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
    if subjects:
        text += f". The last load failed for {name_some(subjects)} too"
    number = max(newest.failure_id, _newest_sent(entry) or 0)
    return Cause("error", text, "quotemill status", f"{_PARTIAL} {number}", subjects=subjects)


def _describe_retries(failures: list[FailedKey]) -> str:
    """The commands that load the keys: a retry is of one job."""
    jobs = sorted({failure.job_id for failure in failures}, reverse=True)
    commands = ", ".join(f"`quotemill retry {job_id}`" for job_id in jobs[:_SHOWN])
    more = "; `quotemill status` names more of them" if len(jobs) > _SHOWN else ""
    return f"{commands} {'loads' if len(jobs) == 1 else 'load'} them{more}"


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _LONGEST else f"{reason[: _LONGEST - 1]}…"


def _newest_sent(entry: Entry | None) -> int | None:
    """The newest failed key that the state of an entry stands for."""
    code, _, number = split_state(entry.state)[0].partition(" ") if entry else ("", "", "")
    return int(number) if code == _PARTIAL and number.isdigit() else None
