"""Dataset `corporate_actions`: present and withdrawn events of CSV files or quote servers.

Those of the desktop client's gbbq land as `capital_events`, with all its records.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from loaders.engine import failed_keys
from loaders.engine.outcome import Outcome, SourceGone
from loaders.landing.rejects import Rejected, open_rejects, withdraw_settled
from loaders.tdx.actions import PRECISION, ActionSet, CorporateAction
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files.actions_csv import read_actions
from loaders.tdx.losses import Loss, judge_loss, refuse_loss
from loaders.tdx.lost_events import FIELD, Event, doubt, find_lost, leave_doubted, list_priced
from loaders.tdx.settings import NO_EVENTS_FIX
from loaders.tdx.tables import CORPORATE_ACTION, REJECTED_ROW
from loaders.trading_time import SHANGHAI
from loaders.warehouse.tables import STANDARD_FIELDS
from quotemill.errors import UpstreamError
from quotemill.wording import say_count

NO_SOURCE = (
    "no source of corporate actions is configured, so adjusted prices are the same as raw prices: "
) + NO_EVENTS_FIX
# The key of a refused row that is not from a CSV file. It starts with the source, or ends with the
# source and a number if no table can hold the row.
NOT_OF_CSV = re.compile(r"^(gbbq|xdxr) | (gbbq|xdxr) [0-9]+$")
REFUSED = "the response of the source is rejected"
AS_RECORDS = "gbbq events are loaded as capital_events"
NAME = "corporate_actions"
_FIELDS = [field.name for field in fields(CorporateAction)]
_OWN = [
    name for name in CORPORATE_ACTION.schema.names if name not in {f.name for f in STANDARD_FIELDS}
]


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`. Raises SettingsError."""
    source = ctx.settings.actions_source
    if source is None:
        yield from _skip(ctx, codes)
    elif source == "gbbq":  # a retry of a load that had another source
        yield from (Outcome(code, skipped=AS_RECORDS) for code in codes)
    elif source == "xdxr":
        yield from _ask_servers(ctx, codes)
    else:
        yield from _read_files(ctx, source, codes)


def _skip(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Skip codes without a source; what failed at one is not repaired by a retry without it."""
    failed = ctx.ask(failed_keys.read_failures) if ctx.load.retried is not None else ()
    before = {failure.key for failure in failed if failure.dataset == NAME}
    for code in codes:
        yield (
            Outcome(code, failure=NO_SOURCE) if code in before else Outcome(code, skipped=NO_SOURCE)
        )


def _ask_servers(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Ask the quote servers for all codes, several at once."""
    from loaders.tdx.servers.xdxr import build_actions

    answers, faults = dict[str, ActionSet](), dict[str, UpstreamError]()
    for code, answer in ctx.wait(ctx.quote_servers.events(codes)).items():
        if isinstance(answer, UpstreamError):
            faults[code] = answer
        else:
            answers[code] = build_actions(code, answer)
    compared = Comparison.make(ctx, "xdxr", answers)
    for code in codes:
        if code in answers:
            yield compared.outcome(ctx, code)
        else:
            fault = faults[code]
            gone = fault if isinstance(fault, SourceGone) else None
            yield Outcome(code, failure=str(fault), gone=gone)


def _read_files(ctx: Context, source: Path, codes: Sequence[str]) -> Iterator[Outcome]:
    """Read and compare the files once in a load; refused rows come with the first outcome."""
    refused = list[Rejected]()
    if ctx.actions is None:
        known = sorted({*ctx.securities, *(ctx.load.request.keys or ())})
        read, rows = read_actions(source, known), dict[str, list[CorporateAction]]()
        for row in read.rejected:
            ctx.load.warn(f"{row.row_key}: {row.field}: {row.rule} (found {row.value!r})")
        for column in read.unknown_columns:
            ctx.load.warn(f"column ignored: {column}")
        for action in read.rows:
            rows.setdefault(action.code, []).append(action)
        answers = {
            code: ActionSet(rows.get(code, []), covers=read.covers, version=read.version)
            for code in known
        }
        ctx.actions = Comparison.make(ctx, "csv", answers)
        refused += read.rejected
        refused += withdraw_settled(ctx.actions.rejected, refused, _is_of_file)
    for code in codes:
        yield ctx.actions.outcome(ctx, code, refused)
        refused = []


@dataclass(frozen=True)
class Comparison:
    """Answers of a source beside what is stored of it.

    source: csv or xdxr
    answers: by code
    events: stored ones that are not withdrawn, by code
    rejected: open refused rows of the source, of all codes
    lost: events that the answers lack, by code
    priced: the lost events that change prices
    cut: what a server's answer lacks that is refused by itself, by code
    refusal: why the answers as a whole are refused, or None
    """

    source: str
    answers: Mapping[str, ActionSet]
    events: Mapping[str, Sequence[Mapping[str, Any]]]
    rejected: Sequence[Rejected]
    lost: Mapping[str, Sequence[Event]]
    priced: Collection[Event]
    cut: Mapping[str, Loss]
    refusal: str | None

    @classmethod
    def make(cls, ctx: Context, source: str, answers: Mapping[str, ActionSet]) -> Self:
        events = ctx.ask(lambda conn: _read_stored(conn, source, answers))
        rows = ctx.ask(lambda conn: open_rejects(conn, REJECTED_ROW, NAME))
        lost = {
            code: find_lost(map(_as_event, stored), map(_as_event, map(asdict, answer.rows)))
            for code, answer in answers.items()
            if (stored := events.get(code)) and code in answer.covers
        }
        all_lost = list(chain.from_iterable(lost.values()))
        new = leave_doubted(source, all_lost, rows)
        counts = Counter(event.code for event in new)
        losses = {
            code: Loss(
                f"{source} of {code}",
                counts[code],
                len(events[code]) - len(gone) + counts[code],
                "stored events",
            )
            for code, gone in lost.items()
        }
        # a server's answer that is refused by itself refuses no other; of files the whole is judged
        cut = {c: loss for c, loss in losses.items() if source == "xdxr" and loss.is_too_much}
        judged = [loss for code, loss in losses.items() if code not in cut]
        whole = Loss(
            f"{source} of {ctx.today}",
            sum(loss.lost for loss in judged),
            sum(loss.stored for loss in judged),
            f"stored events of {_newest(chain.from_iterable(events.values()))}",
            example=str(next((event for event in new if event.code not in cut), "")),
        )
        return cls(
            source,
            answers,
            events,
            [row for row in rows if _origin(row) == source],
            lost,
            frozenset(ctx.ask(lambda conn: list_priced(conn, all_lost))),
            cut,
            judge_loss(ctx.load, NAME, whole),
        )

    def outcome(self, ctx: Context, code: str, refused: Sequence[Rejected] = ()) -> Outcome:
        """Build a code's outcome with withdrawn events and settled refusals.

        refused: further refused rows, of the whole source
        """
        answer, lost = self.answers[code], self.lost.get(code, ())
        stored, route = self.events.get(code, ()), str(ctx.settings.actions_source)
        own = [f"{self.source} {code} ", f"{code} "]

        def outcome(rejected: Sequence[Rejected], **values: Any) -> Outcome:
            rejected = [*answer.rejected, *rejected]
            rejected += withdraw_settled(
                self.rejected, rejected, lambda row: row.row_key.startswith(tuple(own))
            )
            all_rejected = [replace(row, source_route=route) for row in (*rejected, *refused)]
            return Outcome(code, rejected=all_rejected, **values)

        cut = self.cut.get(code)
        if cut and (refusal := refuse_loss(ctx.load, NAME, str(cut))):
            return outcome((), failure=refusal)
        if self.refusal is not None:
            return outcome((), failure=self.refusal) if lost else outcome((), skipped=REFUSED)
        versions = (
            f"{_newest(stored)} ({say_count(len(stored), 'event')})",
            # the same file on another day is not another version
            f"{answer.version or ctx.today} ({say_count(len(answer.rows), 'event')})",
        )
        own.append(f"{self.source} lost {code} ")  # a refused answer settles no doubt
        priced = [event for event in lost if event in self.priced]
        doubts = doubt(ctx.load, NAME, self.source, priced, self.rejected, versions)
        rows = [
            {name: getattr(row, name) for name in _FIELDS} | {"is_withdrawn": False}
            for row in answer.rows
        ]
        rows += self._withdrawn(code, doubts.staying)
        lineage = {"source_route": route, "fetched_at": ctx.clock(), "is_final": True}
        return outcome(
            doubts.rejected,
            rows=[row | lineage for row in rows] or None,
            cursor=ctx.today,
            cursor_key=self.source,
            failure=doubts.failure,
        )

    def _withdrawn(self, code: str, staying: Collection[Event]) -> list[dict[str, Any]]:
        """Mark stored events as withdrawn that the source no longer has, but for those staying.

        These are all events of a covered code, and events of a day that the source still has.
        """
        answer = self.answers[code]
        present = {(row.ex_date, row.seq) for row in answer.rows}
        days = {day for day, _ in present}
        return [
            {name: row[name] for name in _OWN} | {"is_withdrawn": True}
            for row in self.events.get(code, ())
            if (row["ex_date"], row["seq"]) not in present
            and (code in answer.covers or row["ex_date"] in days)
            and _as_event(row) not in staying
        ]


def _read_stored(
    conn: psycopg.Connection, source: str, codes: Iterable[str]
) -> dict[str, list[dict[str, Any]]]:
    """The events of a source that are not withdrawn, by code."""
    events: dict[str, list[dict[str, Any]]] = {}
    with conn.cursor(row_factory=dict_row) as cur:
        cur.execute(
            "select * from raw_tdx.corporate_action "
            "where source = %s and not is_withdrawn and code = any(%s)",
            (source, list(codes)),
        )
        for row in cur:
            events.setdefault(row["code"], []).append(row)
    return events


def _as_event(row: Mapping[str, Any]) -> Event:
    numbers = (row[name] or 0 for name in (*PRECISION, "adjusts_price"))  # 0 and none are the same
    return Event(row["code"], row["ex_date"], row["category"], tuple(numbers))


def _newest(events: Iterable[Mapping[str, Any]]) -> str:
    """The day since which the newest of some stored events is known."""
    return max((f"{row['fetched_at'].astimezone(SHANGHAI):%Y-%m-%d}" for row in events), default="")


def _is_of_file(row: Rejected) -> bool:
    """Whether a refused row is of a line of a file, not of a code's events."""
    return row.field != FIELD and not re.search(r" csv \d+$", row.row_key)


def _origin(row: Rejected) -> str:
    match = NOT_OF_CSV.search(row.row_key)
    return (match[1] or match[2]) if match else "csv"


DATASET = Dataset(NAME, CORPORATE_ACTION, "corporate actions", fetch)
