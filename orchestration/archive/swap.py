"""Replace files by others: all of them or, after a crash, at the next run.

New files lie under their unfinished names and were read back; the plan is committed; then old files
are removed, new ones renamed, and the ledger updated. Cut short anywhere, a reader of the folder
may miss rows until the next run finishes the plan, and never reads a row twice.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from loaders.files.folder import check_size
from loaders.files.whole_file import sync_all, unfinished
from loaders.warehouse.migrate import put_setting
from orchestration.archive import ledger
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import File, New
from quotemill.warehouse.postgres import Warehouse

_PLAN = "archive_swap:"  # in ops.settings, before the schema: the plan that was begun


def replace_files(
    warehouse: Warehouse, folder: Folder, schema: str, old: Iterable[str], new: Iterable[New]
) -> None:
    """Replace the files `old` (paths relative to the folder) by `new`."""
    files = {item.file.path: item for item in new}
    paths = [folder.path(name) for name in files]
    with folder.usable():
        sync_all(map(unfinished, paths))
    plan = {
        "remove": sorted(set(old) - files.keys()),
        "add": [
            {
                "file": asdict(item.file),
                "places": [[*map(str, p), c.rows, c.hash] for p, c in item.contents.items()],
            }
            for item in files.values()
        ],
    }
    with warehouse.connect() as conn:
        put_setting(conn, _PLAN + schema, json.dumps(plan))
    folder.pending.difference_update(paths)
    _carry_out(warehouse, folder, schema, plan)


def finish_started(warehouse: Warehouse, folder: Folder, schema: str) -> int:
    """Finish a plan that was cut short; return how many. Raises Damaged where a file is missing."""
    with warehouse.connect() as conn:
        started = conn.execute(
            "select value::jsonb from ops.settings where key = %s", (_PLAN + schema,)
        ).fetchall()
    for (plan,) in started:
        _carry_out(warehouse, folder, schema, plan)
    return len(started)


def _carry_out(warehouse: Warehouse, folder: Folder, schema: str, plan: Mapping[str, Any]) -> None:
    new = [
        New(
            File(**item["file"]),
            {
                (date.fromisoformat(day), underlying, exchange): Content.parse(rows, content_hash)
                for day, underlying, exchange, rows, content_hash in item["places"]
            },
        )
        for item in plan["add"]
    ]
    for item in new:
        path = folder.path(item.file.path)
        there = unfinished(path)
        try:
            check_size(there if there.exists() else path, item.file.size_bytes, Damaged)
        except Damaged as error:
            raise Damaged(path, f"cut short while files were replaced, and {error}") from None
    names = [item.file.path for item in new]
    # of those that are replaced too: their rows may be in another new file
    replaced = [name for name in names if unfinished(folder.path(name)).exists()]
    folder.remove([*plan["remove"], *replaced])
    folder.finish(names)
    with warehouse.connect() as conn:
        for item in new:
            ledger.record(conn, schema, item)
        ledger.delete_files(conn, schema, plan["remove"])
        conn.execute("delete from ops.settings where key = %s", (_PLAN + schema,))
