"""Which settings the console may change; a new one is closed until somebody opens it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import SecretStr

from loaders.settings import Settings, load_settings
from loaders.settings.listing import is_open, list_settings
from orchestration.schedule.settings import JobSettings
from quotemill.settings.allowed import Form, find_field

# open to the console, though a free text, an address or a path: what keeps each from harm
REVIEWED = {
    "warehouse_url": "takes no parameter that names a file; no saved password goes along",
    "questdb_url": "replaced as a whole, with its login",
    "tdx.base_url": "replaced as a whole, with its login",
    "tdx.client": "only files of the client's names below it are read",
    "tq.account": "goes to the vendor's servers only",
    "tq.password": "goes to the vendor's servers only",
    "ib.host": "no secret goes there",
    "ib.slot_range": "two ascending",
    "alerts.ping_url": "gets no text; replaced as a whole",
    "schedule.x.when": "a rule",
    "schedule.x.calendar": "one of two names",
    "schedule.x.time_zone": "a name of the zone database",
    "history.keep": "names of landed tables",
}
CLOSED = {
    "tdx.download",
    "tdx.download_url",
    "home",
    "request_log",
    "backup_folder",
    "tdx.corporate_actions",
    "tq.sandbox",
    "ib.universe",
    "ib.archive_folder",
    "questdb.java",
    "questdb.jar",
    "questdb.repository",
    "schedule.x.command",
    "alerts.urls",  # apprise reads and sends files that an address names (template=, keyfile=)
    "server.listen",
    "server.programs",
}


def is_free(annotation: Any, marks: Sequence[Any]) -> bool:
    """Whether a setting takes paths, secrets, or texts that have no form of their own."""
    if any(isinstance(mark, Form) for mark in marks):
        return False
    if get_origin(annotation) is Annotated:
        return is_free(annotation.__origin__, annotation.__metadata__)
    if get_origin(annotation) is Literal:
        return False
    parts = get_args(annotation)
    return annotation in (str, Path, SecretStr) or any(is_free(part, ()) for part in parts)


def test_each_setting_says_whether_the_console_changes_it(tmp_path: Path) -> None:
    names = {row.name for row in list_settings(load_settings({}, cwd=tmp_path, home=tmp_path))}
    names |= {f"schedule.x.{name}" for name in JobSettings.model_fields}
    assert {name for name in names if not is_open(name)} == CLOSED
    fields = {name: find_field(Settings, name) for name in names - CLOSED}
    assert {n for n, f in fields.items() if f and is_free(f.annotation, f.metadata)} == set(
        REVIEWED
    )
    assert not is_open("nothing")
