"""Dataset `corporate_actions`: present and withdrawn events of one source."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone, Stopped, records
from loaders.errors import DataQualityError, LockHeldError, UpstreamError
from loaders.landing.rejects import Rejected, open_rejects
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import gbbq
from loaders.tdx.files.actions_csv import ActionSet, CorporateAction, read_actions
from loaders.tdx.files.written import Reading, State, state_in
from loaders.tdx.tables import CORPORATE_ACTION, REJECTED_ROW
from loaders.warehouse.tables import STANDARD_FIELDS

NO_SOURCE = (
    "no source of corporate actions is configured, so adjusted prices equal raw ones: "
    "set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file, a folder of them, gbbq or xdxr"
)
# The key of a refused row that is not from a CSV file. It starts with the source, or ends with the
# source and a number if no table can hold the row.
NOT_OF_CSV = re.compile(r"^(gbbq|xdxr) | (gbbq|xdxr) [0-9]+$")
_OWN = [
    name for name in CORPORATE_ACTION.schema.names if name not in {f.name for f in STANDARD_FIELDS}
]


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`.

    Raises SettingsError for an unusable source.
    """
    source = run.settings.actions_source
    if source is None:
        yield from (Outcome(code, skipped=NO_SOURCE) for code in codes)
    elif source == gbbq.ROUTE:
        yield from _of_client(run, codes)
    elif source == "xdxr":
        yield from _of_servers(run, codes)
    else:
        yield from _of_files(run, source, codes)


def _of_servers(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Ask the quote servers for each code, in a thread as their client blocks."""
    from loaders.tdx.client.xdxr import QuoteServers, actions_of

    run.quote_servers = servers = run.quote_servers or QuoteServers()
    stored = run.ask(lambda conn: Stored.of(conn, codes, "xdxr"))
    try:
        for code in codes:
            if not run.room():
                return
            if run.servers_gone:
                yield Outcome(code, failure=run.servers_gone)
                continue
            try:
                answer = run.wait(asyncio.to_thread(servers.ask, code))
            except SourceGone as error:  # the TDX service itself is not gone
                run.servers_gone = str(error)
                yield Outcome(code, failure=run.servers_gone)
                continue
            except UpstreamError as error:
                yield Outcome(code, failure=str(error))
                continue
            yield stored.outcome(run, code, actions_of(code, answer))
    except (Stopped, LockHeldError, KeyboardInterrupt):
        servers.stop()
        raise
    finally:
        servers.close()


def _of_client(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Read the client's gbbq for codes not yet read from this version of it.

    If the file cannot be read, the dataset capital_events fails, once. If that dataset is not in
    the load, each code fails.
    """
    if run.gbbq_file is None:
        yield from (Outcome(code, skipped=gbbq.NO_FILE) for code in codes)
        return
    try:
        state, cursors = State.known_of(run.gbbq_file), run.load.cursors(CORPORATE_ACTION.name)
        before = {code: cursors.get(f"{code} {gbbq.ROUTE}") for code in codes}
        due = [code for code in codes if state_in(before[code]) != state]
        found = gbbq.actions_of(run.gbbq, due) if due else {}
        state = run.gbbq.state if due else state
    except DataQualityError as error:
        told = f"{error} ({error.hint})" if error.hint else str(error)
        if any(task.dataset == "capital_events" for task in run.load.tasks):
            yield from (Outcome(code, skipped=told) for code in codes)
        else:
            yield from (Outcome(code, failure=told) for code in codes)
        return
    stored = run.ask(lambda conn: Stored.of(conn, due, gbbq.ROUTE))
    of_due = set(due)
    for code in codes:
        if code not in of_due:
            # The file was checked today and has nothing new.
            yield Outcome(code, skipped=NOT_DUE, cursor=run.today, cursor_key=gbbq.ROUTE)
            continue
        outcome = stored.outcome(run, code, found.get(code, ActionSet([])))
        # The load reads the file once, even if it is written again meanwhile.
        cursor = Reading.of(state, run.clock(), before[code]).cursor
        yield replace(outcome, cursor=cursor, cursor_key=f"{code} {gbbq.ROUTE}")


def _of_files(run: Context, source: Path, codes: Sequence[str]) -> Iterator[Outcome]:
    """Read the files once in a load.

    The rows that they refuse, of any code, come with the first outcome.
    """
    is_first, refused = run.actions is None, list[Rejected]()
    if run.actions is None:
        run.actions = read_actions(
            source, sorted({*run.securities, *(run.load.request.keys or ())})
        )
        refused = run.actions.rejected
        for row in refused:
            run.load.warn(f"{row.row_key}: {row.field}: {row.rule} (found {row.value!r})")
        for column in run.actions.unknown_columns:
            run.load.warn(f"column not read: {column}")
    by_code: dict[str, list[CorporateAction]] = {}
    for action in run.actions.rows:
        by_code.setdefault(action.code, []).append(action)
    stored = run.ask(lambda conn: Stored.of(conn, codes, "csv"))
    for code in codes:
        of_code = ActionSet(by_code.get(code, []), refused, run.actions.covers)
        yield stored.outcome(run, code, of_code, all_refusals=is_first)
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
    def of(cls, conn: psycopg.Connection, codes: Sequence[str], source: str) -> Self:
        events: dict[str, list[dict[str, Any]]] = {}
        with conn.cursor(row_factory=dict_row) as cur:
            cur.execute(
                "select * from raw_tdx.corporate_action "
                "where source = %s and not is_withdrawn and code = any(%s)",
                (source, list(codes)),
            )
            for row in cur:
                events.setdefault(row["code"], []).append(row)
        refusals = [
            row
            for row in open_rejects(conn, REJECTED_ROW, "corporate_actions")
            if _source_of(row) == source
        ]
        return cls(source, events, refusals)

    def outcome(
        self, run: Context, code: str, found: ActionSet, *, all_refusals: bool = False
    ) -> Outcome:
        """Build a code's outcome with withdrawn events and settled refusals.

        `all_refusals` also settles refused rows of other codes.
        """
        route = str(run.settings.actions_source)
        lineage = {"source_route": route, "fetched_at": run.clock(), "is_final": True}
        rows = [asdict(row) | {"is_withdrawn": False} for row in found.rows]
        rows += self._withdrawn(code, found)
        own = f"{self.source} {code} ", f"{code} "
        refused = {(row.row_key, row.field, row.rule) for row in found.rejected}
        mended = [
            replace(row, is_withdrawn=True)
            for row in self.refusals
            if (
                row.row_key.startswith(own)
                or (all_refusals and not re.search(r" csv \d+$", row.row_key))
            )
            and (row.row_key, row.field, row.rule) not in refused
        ]
        return Outcome(
            code,
            [row | lineage for row in rows] or None,
            [replace(row, source_route=route) for row in [*found.rejected, *mended]],
            run.today,
            cursor_key=self.source,
        )

    def _withdrawn(self, code: str, found: ActionSet) -> list[dict[str, Any]]:
        """Mark stored events as withdrawn that the source no longer has.

        These are all events of a covered code, and events of a day that the source still has:
        `seq` counts within a day, so a day with one row less lacks its last number.
        """
        present = {(row.ex_date, row.seq) for row in found.rows}
        days = {day for day, _ in present}
        return [
            {name: row[name] for name in _OWN} | {"is_withdrawn": True}
            for row in self.events.get(code, ())
            if (row["ex_date"], row["seq"]) not in present
            and (code in found.covers or row["ex_date"] in days)
        ]


def _source_of(row: Rejected) -> str:
    found = NOT_OF_CSV.search(row.row_key)
    return (found[1] or found[2]) if found else "csv"


DATASET = Dataset("corporate_actions", CORPORATE_ACTION, "corporate actions", fetch, records)
