"""Free space under the store.

No day of ticks is started on a disk that is nearly full.

A full disk kills QuestDB's process.
"""

from quotemill.ticks.questdb_http import StoreError

BYTES_PER_TICK = 800  # while it is written: in QuestDB its file, its log and its partition


def describe_shortage(
    label: str, free: int | None, min_free_gb: float, *, ticks: int = 0
) -> str | None:
    """The problem, or None; None too where the free space is unknown.

    `ticks`: how many are to be written in one transaction.
    """
    if free is None or free >= min_free_gb * 2**30 + ticks * BYTES_PER_TICK:
        return None
    return f"{free / 2**30:,.1f} GiB are free under {label}, too little for a day of ticks"


def require_space(label: str, free: int | None, min_free_gb: float, *, ticks: int = 0) -> None:
    """Raise StoreError where too little is free."""
    if shortage := describe_shortage(label, free, min_free_gb, ticks=ticks):
        raise StoreError(shortage, hint="free some space, or lower QUOTEMILL_QUESTDB__MIN_FREE_GB")


def space_problems(label: str, free: int | None, min_free_gb: float) -> list[str]:
    """The shortage with its fix, as `QuestdbStore.check` reports it."""
    shortage = describe_shortage(label, free, min_free_gb)
    return [f"{shortage}: free some space, or lower questdb.min_free_gb"] if shortage else []
