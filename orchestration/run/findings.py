"""Findings, the rows of qa.findings, by state: new, standing or acknowledged.

An alarm that rings every night is no alarm: `quotemill run` exits with 5 only for errors that no
run has reported before. ops.seen_findings stores each finding from the time it was first seen. A
finding that vanishes is deleted there, so it is new if it comes back.

A finding stays the same while its check, severity, subject and date do, even if the figures in its
evidence change. If several findings share these, the evidence distinguishes them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from loaders.errors import UsageError
from loaders.warehouse.ownership import has_relation

SEVERITIES = ("error", "warning", "info")
STATES = ("new", "standing", "acknowledged")
SHOWN = 20  # errors that `status` lists
# two checks report a state: their date is how far something has come and moves: not in the key
_MATCHED = """
    with found as (
        select distinct
            check_name, severity, subject, trade_date, evidence, md5(evidence) as evidence_hash,
            case when check_name not in ('stale_dataset', 'calendar_horizon') then trade_date end
                as key_date
        from {qa}.findings
    ),

    found_by_key as (
        select *, count(*) over (partition by check_name, severity, subject, key_date) as sharing
        from found
    ),

    seen_by_key as (
        select *, count(*) over (partition by check_name, severity, subject, trade_date) as sharing
        from ops.seen_findings
        where qa_schema = '{qa}'
    )

    select
        f.check_name, f.severity, f.subject, f.trade_date, f.evidence, f.evidence_hash, f.key_date,
        s.finding_id, s.evidence_hash as seen_hash, s.first_run, s.first_seen_at,
        s.acknowledged_at, s.acknowledged_by, s.reason, coalesce(s.is_told, false) as is_told,
        case
            when s.acknowledged_at is not null then 'acknowledged'
            when s.first_run < (select max(judgement_id) from ops.judgements where qa_schema = '{qa}')
                then 'standing'
            else 'new'
        end as state
    from found_by_key as f
    left join seen_by_key as s
        on f.check_name = s.check_name
        and f.severity = s.severity
        and f.subject = s.subject
        and coalesce(f.key_date, 'infinity') = coalesce(s.trade_date, 'infinity')
        and (f.evidence_hash = s.evidence_hash or (f.sharing = 1 and s.sharing = 1))
"""
_UNRECORDED = """
    select
        *, null::bigint as finding_id, 'new' as state, null::timestamptz as first_seen_at,
        null::timestamptz as acknowledged_at, null as acknowledged_by, null as reason
    from {qa}.findings
"""
_READ = """
    select
        finding_id as number, severity, check_name, subject, trade_date, state, evidence,
        first_seen_at, acknowledged_at, acknowledged_by, reason
    from ({matched}) as matched
    where severity = coalesce(%(severity)s, severity) and state = any(%(states)s)
    order by
        array_position(array['error', 'warning', 'info'], severity), check_name, subject, trade_date
"""


@dataclass(frozen=True)
class Finding:
    """A row of qa.findings and what is recorded about it.

    `number` is what `--ack` takes; None until a run or `--ack` records the finding.
    """

    number: int | None
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

    def __str__(self) -> str:
        about = f"{self.subject} {self.trade_date}" if self.trade_date else self.subject
        return f"{self.severity:<7} {self.check_name} {about}: {self.evidence}"


@dataclass(frozen=True)
class Judgement:
    """Counts of findings by severity.

    `new`: those of the newest run; in a run's own judgement, those the run before did not have.
    `ringing`: the number of errors that no run has reported yet.
    `newest`: the largest finding number of these errors; it grows only when another one appears.
    """

    counts: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    judgement_id: int | None = None
    ringing: int = 0
    newest: int | None = None

    def __str__(self) -> str:
        """One line, such as `3 error (1 new, 1 acknowledged), 5 warning`."""
        parts = []
        for severity in (s for s in SEVERITIES if s in self.counts):
            told = [("new", self.new), ("acknowledged", self.acknowledged)]
            of_these = [f"{by[severity]:,} {word}" for word, by in told if by.get(severity)]
            aside = f" ({', '.join(of_these)})" if of_these else ""
            parts.append(f"{self.counts[severity]:,} {severity}{aside}")
        return ", ".join(parts) or "none"


def read(
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
    matched = _MATCHED if has_relation(conn, "ops.seen_findings") else _UNRECORDED
    with conn.cursor(row_factory=class_row(Finding)) as cur:
        return cur.execute(
            _READ.format(matched=matched.format(qa=qa)).encode(),
            {"severity": severity, "states": list(states)},
        ).fetchall()


def tally(findings: Iterable[Finding]) -> Judgement:
    """The counts of a list of findings."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("all", *STATES)}
    for finding in findings:
        counts["all"][finding.severity] += 1
        counts[finding.state][finding.severity] += 1
    return Judgement(dict(counts["all"]), dict(counts["new"]), dict(counts["acknowledged"]))


def judge(conn: psycopg.Connection, qa: str, *, record: bool, tell: bool = False) -> Judgement:
    """Compare the current findings with those that runs have seen.

    `record`: store them as seen by this run. After a failed build nothing is recorded, because
    findings that the build did not get to would seem to be gone.
    `tell`: also mark them as reported by the exit code of this run, so that they ring no more.
    """
    if not has_relation(conn, f"{qa}.findings"):
        return Judgement()
    _match(conn, qa)
    rows = conn.execute(
        "select severity, count(*)::int, count(*) filter (where first_run is null)::int, "
        "count(*) filter (where acknowledged_at is not null)::int, "
        "count(*) filter (where severity = 'error' and not is_told)::int "
        "from matched group by severity order by severity"
    ).fetchall()
    counts, new, acknowledged = ({row[0]: row[i] for row in rows if row[i]} for i in (1, 2, 3))
    judgement_id = None
    if record:
        [(judgement_id,)] = conn.execute(
            "insert into ops.judgements (qa_schema, found, found_new) values (%s, %s, %s) "
            "returning judgement_id",
            (qa, sum(counts.values()), sum(new.values())),
        )
        _record(conn, qa, judgement_id)
    [(newest,)] = conn.execute(
        "select max(finding_id) from ops.seen_findings "
        "where qa_schema = %s and severity = 'error' and not is_told",
        (qa,),
    )
    if record and tell:
        conn.execute(
            "update ops.seen_findings set is_told = true where qa_schema = %s and not is_told",
            (qa,),
        )
    ringing = sum(row[4] for row in rows)
    return Judgement(counts, new, acknowledged, judgement_id, ringing, newest)


def acknowledge(
    conn: psycopg.Connection,
    qa: str,
    which: Sequence[str],
    reason: str,
    by: str,
    severity: str | None,
) -> int:
    """Acknowledge findings by number, or all of a check by its name; return how many.

    Raises UsageError for a number or name that no finding has.
    """
    if not has_relation(conn, f"{qa}.findings"):
        raise UsageError("there are no findings yet", hint="quotemill run")
    if not has_relation(conn, "ops.seen_findings"):
        raise UsageError("no run of this version has judged findings yet", hint="quotemill run")
    done = 0
    with conn.transaction():
        _match(conn, qa)
        _record(conn, qa, None)
        for name in which:
            column = "finding_id::text" if name.isdigit() else "check_name"
            marked = conn.execute(
                "update ops.seen_findings set acknowledged_at = clock_timestamp(), "
                "acknowledged_by = %s, reason = %s, is_told = true "
                f"where qa_schema = %s and {column} = %s "
                "and severity = coalesce(%s, severity)".encode(),
                (by, reason, qa, name, severity),
            )
            if not marked.rowcount:
                raise UsageError(
                    f"no finding has the number or check {name}",
                    hint="`quotemill findings` lists both",
                )
            done += marked.rowcount
    return done


def _match(conn: psycopg.Connection, qa: str) -> None:
    conn.execute("lock table ops.seen_findings in share row exclusive mode")
    matched = _MATCHED.format(qa=qa)
    conn.execute(f"create temp table matched on commit drop as {matched}".encode())


def _record(conn: psycopg.Connection, qa: str, judgement_id: int | None) -> None:
    """Make ops.seen_findings agree with the temporary table `matched`."""
    conn.execute(
        "delete from ops.seen_findings as s where s.qa_schema = %s and not exists "
        "(select 1 from matched as m where m.finding_id = s.finding_id)",
        (qa,),
    )
    conn.execute(
        "update ops.seen_findings as s set evidence_hash = m.evidence_hash, "
        "first_run = coalesce(s.first_run, %s) from matched as m "
        "where m.finding_id = s.finding_id "
        "and (m.seen_hash <> m.evidence_hash or (s.first_run is null and %s::bigint is not null))",
        (judgement_id, judgement_id),
    )
    conn.execute(
        "insert into ops.seen_findings "
        "(qa_schema, check_name, severity, subject, trade_date, evidence_hash, first_run) "
        "select %s, check_name, severity, subject, key_date, evidence_hash, %s from matched "
        "where finding_id is null",
        (qa, judgement_id),
    )
