"""Dataset `corporate_actions`: present and withdrawn events of one source."""

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from loaders.engine import failed_keys
from loaders.engine.outcome import NOT_DUE, Outcome, Stopped
from loaders.landing.rejects import Rejected, open_rejects, withdraw_settled
from loaders.tdx.actions import ActionSet, CorporateAction
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import gbbq
from loaders.tdx.files.actions_csv import read_actions
from loaders.tdx.files.written import Reading, State, state_in
from loaders.tdx.lost_events import DATASETS
from loaders.tdx.settings import NO_EVENTS_FIX
from loaders.tdx.tables import CORPORATE_ACTION, REJECTED_ROW
from loaders.warehouse.tables import STANDARD_FIELDS
from quotemill.errors import DataQualityError, LockHeldError, UpstreamError
from quotemill.foreign import reading

NO_SOURCE = (
    "no source of corporate actions is configured, so adjusted prices equal raw ones: "
    + NO_EVENTS_FIX
)
# The key of a refused row that is not from a CSV file. It starts with the source, or ends with the
# source and a number if no table can hold the row.
NOT_OF_CSV = re.compile(r"^(gbbq|xdxr) | (gbbq|xdxr) [0-9]+$")
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
    elif source == gbbq.ROUTE:
        yield from _read_gbbq(ctx, codes)
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
    """Ask the quote servers for each code, in a thread as their client blocks."""
    from loaders.tdx.client.xdxr import build_actions

    servers = ctx.quote_servers
    stored = ctx.ask(lambda conn: Stored.read_stored(conn, codes, "xdxr"))
    try:
        for code in codes:
            if not ctx.room():
                return
            try:
                answer = ctx.wait(asyncio.to_thread(servers.ask, code))
                with reading(f"the answer of a quote server for {code}", UpstreamError):
                    actions = build_actions(code, answer)
            except UpstreamError as error:  # where they are gone, the TDX service itself is not
                yield Outcome(code, failure=str(error))
                continue
            yield stored.outcome(ctx, code, actions)
    except (Stopped, LockHeldError, KeyboardInterrupt):
        servers.stop()
        raise
    finally:
        servers.close()


def _read_gbbq(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Read the client's gbbq for codes not yet read from this version of it."""
    cursors = ctx.load.cursors(CORPORATE_ACTION.name)
    before = {code: cursors.get(f"{code} {gbbq.ROUTE}") for code in codes}
    if ctx.gbbq_file is None:
        for code in codes:
            outcome = ctx.miss_file(
                NAME,
                code,
                gbbq.PLACE,
                before[code],
                skipped=f"{gbbq.NO_FILE}; without it adjusted prices equal raw ones",
                accepted_with=DATASETS,
            )
            yield replace(outcome, cursor_key=f"{code} {gbbq.ROUTE}")
        return
    try:
        state = State.read_state(ctx.gbbq_file)
        due = [code for code in codes if state_in(before[code]) != state]
        actions = gbbq.select_actions(ctx.gbbq, due) if due else {}
        state = ctx.gbbq.state if due else state
    except DataQualityError as error:
        yield from (Outcome(code, failure=error.with_hint) for code in codes)
        return
    stored = (
        ctx.ask(lambda conn: Stored.read_stored(conn, due, gbbq.ROUTE))
        if due
        else Stored(gbbq.ROUTE, {}, ())
    )
    lost = ctx.lost_actions if due else None
    accepts = bool(lost and (loss := lost.describe()) and ctx.load.accepts_loss(NAME, loss))
    due_codes = set(due)
    for code in codes:
        if code not in due_codes:
            # The file was checked today and has nothing new.
            yield Outcome(code, skipped=NOT_DUE, cursor=ctx.today, cursor_key=gbbq.ROUTE)
            continue
        if lost and not accepts and (refusal := lost.refusal(code)):
            yield Outcome(code, failure=refusal)
            continue
        # Of a code without any record nothing is withdrawn, unless its events may go.
        gone = {day for day, _ in lost.by_code.get(code, ())} if lost and accepts else ()
        outcome = stored.outcome(ctx, code, actions.get(code, ActionSet([])), gone=gone)
        # The load reads the file once, even if it is written again meanwhile.
        cursor = Reading.make(state, ctx.clock(), before[code]).cursor
        yield replace(outcome, cursor=cursor, cursor_key=f"{code} {gbbq.ROUTE}")


def _read_files(ctx: Context, source: Path, codes: Sequence[str]) -> Iterator[Outcome]:
    """Read the files once in a load; refused rows come with the first outcome."""
    is_first, refused = ctx.actions is None, list[Rejected]()
    if ctx.actions is None:
        ctx.actions = read_actions(
            source, sorted({*ctx.securities, *(ctx.load.request.keys or ())})
        )
        refused = ctx.actions.rejected
        for row in refused:
            ctx.load.warn(f"{row.row_key}: {row.field}: {row.rule} (found {row.value!r})")
        for column in ctx.actions.unknown_columns:
            ctx.load.warn(f"column not read: {column}")
    by_code: dict[str, list[CorporateAction]] = {}
    for action in ctx.actions.rows:
        by_code.setdefault(action.code, []).append(action)
    stored = ctx.ask(lambda conn: Stored.read_stored(conn, codes, "csv"))
    for code in codes:
        own_actions = ActionSet(by_code.get(code, []), refused, ctx.actions.covers)
        yield stored.outcome(ctx, code, own_actions, all_refusals=is_first)
        refused, is_first = [], False


@dataclass(frozen=True)
class Stored:
    """Stored events and refused rows of a source, of some codes.

    source: csv, gbbq or xdxr.
    events: those not withdrawn, by code.
    refusals: open refused rows of the source, of all codes.
    """

    source: str
    events: Mapping[str, Sequence[dict[str, Any]]]
    refusals: Sequence[Rejected]

    @classmethod
    def read_stored(cls, conn: psycopg.Connection, codes: Sequence[str], source: str) -> Self:
        events: dict[str, list[dict[str, Any]]] = {}
        with conn.cursor(row_factory=dict_row) as cur:
            cur.execute(
                "select * from raw_tdx.corporate_action "
                "where source = %s and not is_withdrawn and code = any(%s)",
                (source, list(codes)),
            )
            for row in cur:
                events.setdefault(row["code"], []).append(row)
        refusals = [row for row in open_rejects(conn, REJECTED_ROW, NAME) if _origin(row) == source]
        return cls(source, events, refusals)

    def outcome(
        self,
        ctx: Context,
        code: str,
        actions: ActionSet,
        *,
        all_refusals: bool = False,
        gone: Collection[date] = (),
    ) -> Outcome:
        """Build a code's outcome with withdrawn events and settled refusals.

        gone: days whose events may go though the code's list is not complete
        """
        route = str(ctx.settings.actions_source)
        lineage = {"source_route": route, "fetched_at": ctx.clock(), "is_final": True}
        rows = [
            {name: getattr(row, name) for name in _FIELDS} | {"is_withdrawn": False}
            for row in actions.rows
        ]
        rows += self._withdrawn(code, actions, gone)
        own = f"{self.source} {code} ", f"{code} "

        def is_own(row: Rejected) -> bool:
            return row.row_key.startswith(own) or (
                all_refusals and not re.search(r" csv \d+$", row.row_key)
            )

        rejected = [*actions.rejected, *withdraw_settled(self.refusals, actions.rejected, is_own)]
        return Outcome(
            code,
            [row | lineage for row in rows] or None,
            [replace(row, source_route=route) for row in rejected],
            ctx.today,
            cursor_key=self.source,
        )

    def _withdrawn(
        self, code: str, actions: ActionSet, gone: Collection[date]
    ) -> list[dict[str, Any]]:
        """Mark stored events as withdrawn that the source no longer has.

        These are all events of a covered code, and events of a day that the source still has, or
        whose loss was accepted.
        """
        present = {(row.ex_date, row.seq) for row in actions.rows}
        days = {day for day, _ in present} | {*gone}
        return [
            {name: row[name] for name in _OWN} | {"is_withdrawn": True}
            for row in self.events.get(code, ())
            if (row["ex_date"], row["seq"]) not in present
            and (code in actions.covers or row["ex_date"] in days)
        ]


def _origin(row: Rejected) -> str:
    match = NOT_OF_CSV.search(row.row_key)
    return (match[1] or match[2]) if match else "csv"


DATASET = Dataset(NAME, CORPORATE_ACTION, "corporate actions", fetch)
