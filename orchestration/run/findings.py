"""Findings, the rows of qa.findings, by state: new, standing or acknowledged.

An alarm that rings every night is no alarm: `quotemill run` exits with 5 only for errors that no
run has reported before. ops.seen_findings stores each finding from the time it was first seen. A
finding that vanishes is deleted there, so it is new if it comes back.

A finding stays the same while its check, severity, subject and date do, even if the figures in its
evidence change. If several findings share these, the evidence distinguishes them.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from loaders.check import FINDING_VERDICTS, Check
from loaders.engine import failed_keys
from loaders.warehouse.sql_files import read_sql
from quotemill.errors import UsageError
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

SEVERITIES = ("error", "warning", "info")
STATES = ("new", "standing", "acknowledged")
KEY = re.compile(r"f[0-9a-f]{32}")
UNREAD = ("check_failed", "check_not_built")  # what such a check finds is unknown
SHOWN = 20  # errors that `status` lists
_FOUND = "found_findings"  # the temporary table of what the checks say


@dataclass(frozen=True)
class Finding:
    """A row of qa.findings and what is recorded about it.

    `number` is what `--ack` takes; None until a run or `--ack` records the finding. It takes `key`
    too, which each finding has, and which changes with its evidence.
    """

    number: int | None
    key: str
    severity: str
    check_name: str
    subject: str
    trade_date: date | None
    state: str
    evidence: str
    first_seen_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    reason: str | None

    @property
    def check(self) -> Check:
        row = (self.check_name, self.severity, self.subject, self.trade_date, self.evidence)
        return describe(*row)

    @property
    def state_words(self) -> str:
        """Its number and state, since when, and by whom it is acknowledged and why."""
        since = f" since {self.first_seen_at:%Y-%m-%d}" if self.first_seen_at else ""
        by = f" by {self.acknowledged_by}: {self.reason}" if self.acknowledged_at else ""
        return f"{self.number or '-'} {self.state}{since}{by}"


def describe(
    check_name: str, severity: str, subject: str, trade_date: date | None, evidence: str
) -> Check:
    """A row of qa.findings as a check, whose evidence may have a fix at its end."""
    about = f"{subject} {trade_date}" if trade_date else subject
    text, _, fix = evidence.partition("; fix: ")
    return Check(check_name, FINDING_VERDICTS[severity], f"{about}: {text}", fix, subject=subject)


@dataclass(frozen=True)
class Judgement:
    """Counts of findings by severity.

    `new`: those of the newest run; in a run's own judgement, those the run before did not have.
    `ringing`: the number of errors that no run has reported yet.
    `newest`: the largest finding number of these errors; it grows only when another one appears.
    `unread`: checks that cannot be read and that nobody acknowledged, such as `qa_options`.
    `is_checked`: whether a build has made the checks.
    `listed`: the findings themselves, as `list_findings` has them; None: they were not asked for.
    """

    counts: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    ringing: int = 0
    newest: int | None = None
    unread: tuple[str, ...] = ()
    is_checked: bool = True
    listed: tuple[Finding, ...] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """One line, such as `3 errors (1 new, 1 acknowledged), 1 warning`."""
        if not self.is_checked:
            return "nothing is built yet, so nothing was checked"
        parts = []
        for severity in (s for s in SEVERITIES if s in self.counts):
            shares = (("new", self.new), ("acknowledged", self.acknowledged))
            texts = [f"{share[severity]:,} {word}" for word, share in shares if share.get(severity)]
            aside = f" ({', '.join(texts)})" if texts else ""
            many = "info" if severity == "info" else ""
            parts.append(say_count(self.counts[severity], severity, many) + aside)
        text = ", ".join(parts) or "none"
        return f"{text}; cannot be read: {', '.join(self.unread)}" if self.unread else text


def list_findings(
    conn: psycopg.Connection,
    qa: str,
    *,
    severity: str | None = None,
    states: Sequence[str] = STATES,
) -> list[Finding]:
    """The current findings of schema `qa`, most severe first.

    Empty before the first build.
    """
    if not has_relation(conn, f"{qa}.findings"):
        return []
    return _list(conn, _current(qa), severity, states)


def _list(
    conn: psycopg.Connection, current: str, severity: str | None, states: Sequence[str]
) -> list[Finding]:
    query = read_sql(__package__, "listed_findings").format(current=current)
    values = {"severity": severity, "states": list(states)}
    with conn.cursor(row_factory=class_row(Finding)) as cur:
        return cur.execute(query.encode(), values).fetchall()


def explain_unadjusted(conn: psycopg.Connection, qa: str) -> str | None:
    """Why adjusted prices equal raw ones; None where events are loaded, or it is acknowledged.

    Runs and `status` say this finding in full: a count among others would hide that every price is
    wrong. None too where the check cannot be read, which is a finding of its own.
    """
    if not has_relation(conn, f"{qa}.qa_corporate_action_source"):
        return None
    try:
        with conn.transaction():
            row = conn.execute(
                f"select f.evidence from {qa}.qa_corporate_action_source as f where not exists ("
                "select 1 from ops.seen_findings as s where s.qa_schema = %s "
                "and s.check_name = f.check_name and s.acknowledged_at is not null)".encode(),
                (qa,),
            ).fetchone()
    except psycopg.OperationalError:
        raise
    except psycopg.DatabaseError:
        return None
    return row[0] if row else None


def tally(findings: Iterable[Finding]) -> Judgement:
    """The counts of a list of findings."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("all", *STATES)}
    for finding in findings:
        counts["all"][finding.severity] += 1
        counts[finding.state][finding.severity] += 1
    return Judgement(dict(counts["all"]), dict(counts["new"]), dict(counts["acknowledged"]))


def judge(
    conn: psycopg.Connection,
    qa: str,
    *,
    unbuilt: Collection[str] | None = (),
    report: bool = False,
    lists: bool = False,
) -> Judgement:
    """Compare the current findings with those that runs have seen, and store them as seen by this.

    `unbuilt`: the models that the build before did not make; None: it made none. No finding of
    these counts as gone, nor one of a check that cannot be read, but for the error that says so:
    the same check is new again when it next fails.
    `report`: also mark them as reported by the exit code of this run, so that they ring no more.
    `lists`: also list them: the checks of a market take a while, and would run again.
    """
    if not has_relation(conn, f"{qa}.findings"):
        return Judgement(is_checked=False)
    _match(conn, qa)
    rows = conn.execute(
        "select severity, count(*)::int, count(*) filter (where first_run is null)::int, "
        "count(*) filter (where acknowledged_at is not null)::int, "
        "count(*) filter (where severity = 'error' and not is_told)::int "
        "from matched group by severity order by severity"
    ).fetchall()
    counts, new, acknowledged = ({row[0]: row[i] for row in rows if row[i]} for i in (1, 2, 3))
    unread = conn.execute(
        "select distinct subject from matched "
        "where check_name = any(%s) and acknowledged_at is null order by subject",
        (list(UNREAD),),
    ).fetchall()
    [(number,)] = conn.execute(
        "insert into ops.settings values (%s, 1) on conflict (key) do update "
        "set value = ops.settings.value::bigint + 1 returning value::bigint",
        (f"judgement:{qa}",),
    )
    _record(conn, qa, number, unbuilt)
    [(newest,)] = conn.execute(
        "select max(finding_id) from ops.seen_findings "
        "where qa_schema = %s and severity = 'error' and not is_told",
        (qa,),
    )
    if report:
        conn.execute(
            "update ops.seen_findings set is_told = true where qa_schema = %s and not is_told",
            (qa,),
        )
    ringing = sum(row[4] for row in rows)
    checks = tuple(check for (check,) in unread)
    judged = Judgement(counts, new, acknowledged, ringing, newest, checks)
    if not lists:
        return judged
    return replace(judged, listed=tuple(_list(conn, _current(qa, _FOUND), None, STATES)))


def acknowledge(
    conn: psycopg.Connection,
    qa: str,
    names: Sequence[str],
    reason: str,
    by: str,
    severity: str | None,
) -> int:
    """Acknowledge findings by number or key, or all of a check by its name; return how many.

    A name that no check has is that of failed keys, see failed_keys.acknowledge. Raises UsageError
    where nothing has the number or name.
    """
    is_built = has_relation(conn, f"{qa}.findings")
    if not is_built and not failed_keys.read_failures(conn):
        raise UsageError("there are no findings yet", hint="Run `quotemill run`.")
    count = 0
    with conn.transaction():
        if is_built:
            _match(conn, qa)
            _record(conn, qa, None)
        for name in names:
            column = "finding_id::text" if name.isdigit() else "check_name"
            if KEY.fullmatch(name):  # as listed_findings.sql has it
                column = (
                    "'f' || md5(concat_ws('|', check_name, severity, subject, trade_date, "
                    "evidence_hash))"
                )
            updated = conn.execute(
                "update ops.seen_findings set acknowledged_at = clock_timestamp(), "
                "acknowledged_by = %s, reason = %s, is_told = true "
                f"where qa_schema = %s and {column} = %s "
                "and severity = coalesce(%s, severity)".encode(),
                (by, reason, qa, name, severity),
            )
            done = updated.rowcount or failed_keys.acknowledge(conn, name, reason, by)
            if not done:
                raise UsageError(
                    f"no finding has the number or check {name}, and no load failed for this key",
                    hint="List them with `quotemill findings`.",
                )
            count += done
    return count


def _match(conn: psycopg.Connection, qa: str) -> None:
    conn.execute("lock table ops.seen_findings in share row exclusive mode")
    # read once: they are listed again with what is recorded about them by then
    conn.execute(f"create temp table {_FOUND} on commit drop as table {qa}.findings".encode())
    conn.execute(f"create temp table matched on commit drop as {_current(qa, _FOUND)}".encode())


def _current(qa: str, findings: str = "") -> str:
    """The query of current findings; `findings`: a table that has them instead of the view."""
    findings = findings or f"{qa}.findings"
    return read_sql(__package__, "current_findings").format(qa=qa, findings=findings)


def _record(
    conn: psycopg.Connection,
    qa: str,
    judgement: int | None,
    unbuilt: Collection[str] | None = (),
) -> None:
    """Make ops.seen_findings agree with the temporary table `matched`."""
    conn.execute(
        "with unknown as (select subject as model from matched where check_name = any(%(unread)s) "
        "union all select unnest(%(unbuilt)s::text[])) "
        "delete from ops.seen_findings as s where s.qa_schema = %(qa)s "
        "and not exists (select 1 from matched as m where m.finding_id = s.finding_id) "
        "and (s.check_name = any(%(unread)s) or (%(is_built)s and ("
        "s.model not in (select model from unknown) or not exists (select 1 from unknown))))",
        {
            "qa": qa,
            "unread": list(UNREAD),
            "unbuilt": list(unbuilt or ()),
            "is_built": unbuilt is not None,
        },
    )
    conn.execute(
        "update ops.seen_findings as s set evidence_hash = m.evidence_hash, "
        "model = m.model, first_run = coalesce(s.first_run, %s) from matched as m "
        "where m.finding_id = s.finding_id "
        "and (m.seen_hash <> m.evidence_hash or m.seen_model is distinct from m.model "
        "or (s.first_run is null and %s::bigint is not null))",
        (judgement, judgement),
    )
    conn.execute(
        "insert into ops.seen_findings "
        "(qa_schema, check_name, severity, subject, trade_date, evidence_hash, model, first_run) "
        "select %s, check_name, severity, subject, key_date, evidence_hash, model, %s from matched "
        "where finding_id is null",
        (qa, judgement),
    )
