"""Write an export, or bring one up to date: only the files that are not whole or not current."""

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import psycopg

from loaders.engine.progress import Reporter
from loaders.warehouse.content import require_content
from orchestration.exports import inputs
from orchestration.exports.bucket import open_bucket
from orchestration.exports.definition import Definition
from orchestration.exports.folder import Files, Folder, State
from orchestration.exports.followed import Followed, check_new, find_followed, record
from orchestration.exports.forms import FORMS
from orchestration.exports.forms.form import Form, Plan
from orchestration.exports.parts import Part, choose_changed
from orchestration.exports.snapshot import Snapshot, hold_snapshot
from orchestration.exports.source import Source
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse

# parts that become whole together: each costs a flush to disk
_TOGETHER, _TOGETHER_BYTES = 64, 2**26


@dataclass
class ExportResult:
    """The result of an export.

    rows, files, bytes: of the whole export
    written: parts (months or codes) that were written
    unchanged: parts that were left as they are
    removed: files of parts that have no rows any more
    change_no: the change of the feed up to which the files are
    """

    folder: str
    form: str
    rows: int = 0
    files: int = 0
    bytes: int = 0
    written: int = 0
    unchanged: int = 0
    removed: int = 0
    change_no: int = 0
    exit_code: int = field(default=0, init=False)


def export(
    warehouse: Warehouse,
    wanted: Definition,
    target: Path | str,
    reporter: Reporter,
    as_of: datetime,
    *,
    name: str | None = None,
) -> ExportResult:
    """Write the rows of a definition, as of one moment, to a folder or an address of a bucket.

    A killed export is taken up. One with a name follows: it keeps its place in the change feed, and
    the next writes what changed since. One without is written again as a whole.

    Raises UsageError for what cannot be read, for a folder with other files, and for a name of
    another export; SettingsError for a folder that cannot be used; LockHeldError beside another
    export to it.
    """
    is_address, form = "://" in str(target), FORMS[wanted.form]
    folder = open_bucket(str(target)) if is_address else Folder(Path(target).absolute())
    if name is not None and not folder.is_local:
        raise UsageError(
            f"an export to {target} cannot follow: --follow keeps a folder of this machine",
            hint="leave out --follow, and run the command again after a load",
        )
    following = Followed(name, wanted, folder.root) if name is not None else None
    if folder.root.exists():  # nothing is left behind in a folder that is refused
        _read_own_state(folder, form, wanted)
    with warehouse.connect() as probing:
        if following:
            check_new(probing, warehouse.market_schema, following)
        source = form.find_source(probing, warehouse, wanted)
        read = inputs.read_inputs(probing, source)
        probing.rollback()
    with folder.locked(), hold_snapshot(warehouse) as snapshot, folder.discarding_unfinished():
        before = _read_own_state(folder, form, wanted)
        folder.discard_unfinished()
        writing = _Writing(snapshot, folder, form, source, reporter)
        with snapshot.reading() as conn:
            position = inputs.read_position(conn)
            state = _plan(conn, writing, warehouse, read, position, before, wanted)
        reader = inputs.name_reader(warehouse, state.folder_id)
        with warehouse.connect() as other:
            require_content(other, snapshot.content)
            # before the files: it may be ahead of them, never behind
            inputs.keep_position(other, reader, position, read.fingerprint)
            if following:
                record(other, warehouse.market_schema, following)
        if not before or not before.is_whole or writing.changes_files:
            folder.start_journal(state)
        writing.write(state)
        if form.finish and folder.is_local:
            form.finish(folder, source, state)
        state.written_at = as_of.isoformat()
        folder.write_manifest(state)
        if not following:
            with warehouse.connect() as other:
                inputs.forget_position(other, reader)
    files = [file for files in state.parts.values() for file in files.values()]
    return ExportResult(
        folder.label,
        wanted.form,
        state.rows,
        len(files),
        sum(file.bytes for file in files),
        writing.written,
        len(state.parts) - writing.written,
        writing.removed,
        position.change_no,
    )


def export_again(
    warehouse: Warehouse, name: str, reporter: Reporter, as_of: datetime
) -> ExportResult:
    """Bring an export that follows up to date, by its name.

    Raises UsageError for an unknown name, SettingsError where its folder is away; as `export`.
    """
    with warehouse.connect() as conn:
        known = find_followed(conn, warehouse.market_schema, name)
    known.require_written()
    return export(warehouse, known.definition, known.folder, reporter, as_of, name=name)


def _read_own_state(folder: Folder, form: Form, wanted: Definition) -> State | None:
    """Read the state of the folder. Raises UsageError where it is not of this export."""
    state = folder.read_state()
    if state is not None and state.definition != wanted:
        others = ", ".join(
            f"{name} {theirs}"
            for name, theirs in vars(state.definition).items()
            if theirs != getattr(wanted, name)
        )
        raise UsageError(
            f"{folder.label} is another export: {others}",
            hint="name another folder, or delete that one",
        )
    folder.require_own(state, form.pattern)
    return state


def _plan(
    conn: psycopg.Connection,
    writing: "_Writing",
    warehouse: Warehouse,
    read: inputs.Inputs,
    position: inputs.Position,
    before: State | None,
    wanted: Definition,
) -> State:
    """Find the files of the folder that stay; what has to be written is in `writing` then."""
    blank = State(wanted, secrets.token_hex(6), position.change_no, read.fingerprint, {})
    state = replace(before or blank, change_no=position.change_no, fingerprint=read.fingerprint)
    reader = inputs.name_reader(warehouse, state.folder_id)
    since, fingerprint = (before.change_no, before.fingerprint) if before else (None, "")
    changes = inputs.find_changes(conn, read, reader, since, fingerprint)
    plan = writing.form.plan(conn, writing.source, before.facts if before else {})
    changed = {part.name for part in choose_changed(plan.parts, writing.source, changes)}
    changed |= plan.stale
    names = {part.name for part in plan.parts}
    whole = writing.folder.find_whole(before) if before else {}
    current = {name: files for name, files in whole.items() if name in names - changed}
    writing.plan = plan
    writing.waiting = [part for part in plan.parts if part.name not in current]
    writing.before = whole
    stored = writing.folder.list_files(writing.form.pattern)
    writing.changes_files = bool(writing.waiting) or stored != replace(state, parts=current).names
    return replace(state, parts=current, facts=plan.facts)


class _Writing:
    """Writes parts, a few at a time.

    plan, waiting: the parts of the export, and those to write
    before: files of parts that are whole
    changes_files: whether any file is to be written or removed
    """

    def __init__(
        self,
        snapshot: Snapshot,
        folder: Folder,
        form: Form,
        source: Source,
        reporter: Reporter,
    ) -> None:
        self.folder, self.form, self.source = folder, form, source
        self.plan = Plan([])
        self.waiting: list[Part] = []
        self.before: dict[str, Files] = {}
        self.changes_files = True
        self.written, self.removed = 0, 0
        self._snapshot, self._reporter = snapshot, reporter

    def write(self, state: State) -> None:
        """Write the waiting parts; remove files of ours that no part has any more."""
        self._reporter.start(self.source.name, len(self.waiting))
        together: dict[str, Files] = {}
        for part in self.waiting:
            with self._snapshot.reading() as conn:
                together[part.name] = self.form.write_part(
                    conn, self.folder, self.source, part, self.plan
                )
            size = sum(file.bytes for files in together.values() for file in files.values())
            if len(together) >= _TOGETHER or size >= _TOGETHER_BYTES:
                self._commit(state, together)
                together = {}
        if together:
            self._commit(state, together)
        obsolete = self.folder.list_files(self.form.pattern) - state.names
        self.folder.remove(obsolete)
        self.removed = len(obsolete)

    def _commit(self, state: State, together: dict[str, Files]) -> None:
        before = {n: f for part in together for n, f in self.before.get(part, {}).items()}
        self.folder.commit(together, before)
        state.parts |= together
        self.written += len(together)
        self._reporter.advance(self.source.name, len(together))
