"""Write an export, or bring one up to date: only the files that are not whole or not current."""

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from loaders.engine.progress import Reporter
from loaders.landing.change_feed import move_cursor
from loaders.warehouse.content import require_content
from orchestration.exports import feed
from orchestration.exports.definition import Definition
from orchestration.exports.folder import Files, Folder, Manifest
from orchestration.exports.forms import FORMS
from orchestration.exports.forms.form import Form
from orchestration.exports.parts import choose_changed
from orchestration.exports.snapshot import hold_snapshot
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse


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
    rows: int
    files: int
    bytes: int
    written: int
    unchanged: int
    removed: int
    change_no: int
    exit_code: int = field(default=0, init=False)


def export(
    warehouse: Warehouse, wanted: Definition, target: Path, reporter: Reporter, as_of: datetime
) -> ExportResult:
    """Write the rows of a definition, as of one moment, to a folder.

    A folder that has them already gets the parts that changed since: of a table by the change feed,
    of a view or a query each part is written, and equal files stay.

    Raises UsageError for what cannot be read, and for a folder with other files; SettingsError for
    a folder that cannot be used; LockHeldError beside another export to it.
    """
    form, folder = FORMS[wanted.form], Folder(target.absolute())
    if folder.root.exists():  # nothing is left behind in a folder that is refused
        _read_own_manifest(folder, form, wanted)
    with warehouse.connect() as probing:
        source = form.find_source(probing, warehouse, wanted)
        probing.rollback()
    with (
        folder.locked(),
        hold_snapshot(warehouse, is_restricted=wanted.is_query) as snapshot,
        folder.discarding_unfinished(),
    ):
        before, is_whole = _read_own_manifest(folder, form, wanted)
        folder.discard_unfinished()
        folder_id = before.folder_id if before else secrets.token_hex(6)
        reader = f"{warehouse.market_schema}.export {folder_id}"  # the name of its cursor
        spans = None
        with snapshot.reading() as conn:
            change_no, seen = feed.read_position(conn)
            has_feed = feed.has_feed(conn, source)
            if before and is_whole and has_feed and before.columns == source.columns:
                spans = feed.find_changes(conn, source, reader, before.change_no)
            plan = form.plan(conn, source)
        changed = {part.name for part in choose_changed(plan.parts, source, spans)}
        at = as_of.isoformat()
        manifest = Manifest(wanted, folder_id, change_no, {}, at, source.columns)
        whole = folder.find_whole(before) if before and is_whole else {}
        names = {part.name for part in plan.parts} - changed
        current = {name: files for name, files in whole.items() if name in names}
        waiting = [part for part in plan.parts if part.name not in current]
        if not is_whole:
            folder.begin(manifest)
        written: dict[str, Files] = {}
        reporter.start(source.name, len(waiting))
        for part in waiting:
            with snapshot.reading() as conn:
                written[part.name] = form.write_part(conn, folder, source, part, plan)
            reporter.advance(source.name, 1)
        manifest = replace(manifest, parts=current | written)
        obsolete = folder.list_files(form.pattern) - manifest.files.keys()
        new = {name: file for files in written.values() for name, file in files.items()}
        folder.publish(manifest, new, obsolete)
        if has_feed:
            with warehouse.connect() as other:
                require_content(other, snapshot.content)
                move_cursor(other, reader, seen, "")
    return ExportResult(
        str(folder.root),
        wanted.form,
        manifest.rows,
        len(manifest.files),
        sum(file.bytes for file in manifest.files.values()),
        len(written),
        len(current),
        len(obsolete),
        change_no,
    )


def _read_own_manifest(
    folder: Folder, form: Form, wanted: Definition
) -> tuple[Manifest | None, bool]:
    """Read what is in the folder. Raises UsageError where it is not of this export."""
    manifest, is_whole = folder.read_manifest()
    if manifest is not None and manifest.definition != wanted:
        others = ", ".join(
            f"{name} {theirs}"
            for name, theirs in vars(manifest.definition).items()
            if theirs != getattr(wanted, name)
        )
        raise UsageError(
            f"{folder.root} has another export: {others}",
            hint="Choose another folder, or delete that export.",
        )
    folder.require_own(form.pattern, is_known=manifest is not None)
    return manifest, is_whole
