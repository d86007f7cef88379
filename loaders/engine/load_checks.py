"""Checks of loads on record: the newest of each source, and keys that earlier ones left."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from loaders.check import Check
from loaders.engine import job_list
from quotemill.wording import say_count

SHOWN = 5  # failed keys of a load
Row = dict[str, Any]


def check_loads(newest: Sequence[Row], failed_keys: Sequence[Row]) -> Iterator[Check]:
    """The newest load of each source, the newest last, if it did not succeed."""
    for job in reversed(newest):
        if job["status"] in ("running", "succeeded"):
            continue
        own = [row for row in _list_open(failed_keys) if row["job_id"] == job["job_id"]]
        text = f"load {job['job_id']} of {job['source']} {job['status']}"
        fix = _name_retry(job["job_id"], is_later=job_list.is_stopped(job) or _share_reason(own))
        if job["error"] is not None:
            text += f": {job['error']}"
        elif job["failed"]:
            text += f": {say_count(job['failed'], 'key')} failed"
            if own:
                text += f": {_name_keys(own)}"
            else:
                fix = f"loaders run {job['source']}"  # it takes what can be captured now
        yield Check("load", "warn", text, fix, subject=job["source"])


def check_keys(newest: Sequence[Row], failed_keys: Sequence[Row]) -> Iterator[Check]:
    """Keys that failed in an earlier load and that no later one has loaded, by load."""
    described = {job["job_id"] for job in newest}
    rows = [row for row in _list_open(failed_keys) if row["job_id"] not in described]
    for job_id, group in groupby(sorted(rows, key=itemgetter("job_id")), itemgetter("job_id")):
        own = list(group)
        source = own[0]["source"]
        text = f"keys that load {job_id} of {source} could not load: {_name_keys(own)}"
        fix = _name_retry(job_id, is_later=_share_reason(own))
        yield Check("keys", "warn", text, fix, subject=source)


def _list_open(failed_keys: Sequence[Row]) -> list[Row]:
    return [row for row in failed_keys if row["acknowledged_at"] is None]


def _name_keys(failures: Sequence[Row]) -> str:
    """The newest of some failed keys, as `findings --ack` takes them, and why that failed."""
    newest = sorted(failures, key=itemgetter("failure_id"), reverse=True)
    keys = ", ".join(f"{row['dataset']} {row['key']}" for row in newest[:SHOWN])
    more = f" and {len(newest) - SHOWN:,} more" if len(newest) > SHOWN else ""
    return f"{keys}{more}: {newest[0]['reason']}"


def _share_reason(failures: Sequence[Row]) -> bool:
    """Whether several keys failed for one reason: it is of a setting or of the source."""
    return len(failures) > 1 and len({row["reason"] for row in failures}) == 1


def _name_retry(job_id: int, *, is_later: bool) -> str:
    return job_list.name_retry(f"quotemill retry {job_id}", is_later=is_later)
