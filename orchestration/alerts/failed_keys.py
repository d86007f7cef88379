"""The cause load:SOURCE while keys of a source fail: sent again for each further key that fails.

A key that names a moment (`AAPL 2026-11-20T15:00Z`) is not one to repair: its subject counts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg

from loaders import sources
from loaders.engine import failed_keys
from loaders.engine.failed_keys import FailedKey
from loaders.engine.jobs import Task
from loaders.warehouse.sql_files import read_sql
from orchestration.alerts import book
from orchestration.alerts.book import LONGEST, Cause, Entry, Verdicts, name_some, split_state
from orchestration.checks.gather import gather
from orchestration.checks.place import Place
from quotemill.errors import PartialError
from quotemill.wording import say_count

_PREFIX = "load:"
_PARTIAL = str(PartialError.exit_code)
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
                judged[name] = _judge(own, entry)
        elif cause is None and entry is not None:
            judged[name] = _judge(own, entry)
        elif cause is not None and cause.state == _PARTIAL and own:
            judged[name] = _judge(own, entry, cause.subjects)
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


def _judge(
    failures: list[FailedKey], entry: Entry | None, subjects: tuple[str, ...] = ()
) -> Cause | None:
    """The cause of failed keys, whose state is the newest; `word_loads` has its words."""
    if not failures:
        return None
    number = max(failures[-1].failure_id, _newest_sent(entry) or 0)
    text = f"{say_count(len(failures), 'key')} failed"
    state = f"{_PARTIAL} {number}"
    cause = Cause("load", "warn", text, "quotemill status", state=state)
    return replace(cause, subjects=subjects, note=name_subjects(subjects))


def name_subjects(subjects: Sequence[str]) -> str:
    """The subjects of moments that failed, whose keys no check names."""
    return f", failed for {name_some(subjects)}" if subjects else ""


def word_loads(place: Place, verdicts: Verdicts) -> Verdicts:
    """The causes of loads in the words of `status`: the checks of the source's loads and keys."""
    causes = {name: cause for name, cause in verdicts.items() if cause and cause.name == "load"}
    checks = gather(place, ("load", "keys")) if causes else []
    worded: dict[str, Cause | None] = {}
    for name, cause in causes.items():
        own = [c for c in checks if c.verdict != "ok" and f"{_PREFIX}{c.subject}" == name]
        if own:
            text = "; ".join(check.sentence for check in own)[:LONGEST]
            worded[name] = replace(cause, sentence=text, fix=own[0].fix, name=own[0].name)
    return worded


def _newest_sent(entry: Entry | None) -> int | None:
    """The newest failed key that the state of an entry stands for."""
    code, _, number = split_state(entry.state)[0].partition(" ") if entry else ("", "", "")
    return int(number) if code == _PARTIAL and number.isdigit() else None
