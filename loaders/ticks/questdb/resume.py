"""Pending writes of a suspended table."""

from collections.abc import Callable

from quotemill.ticks.questdb_http import QuestdbHttp, Suspended


def resume_table(
    http: QuestdbHttp, name: str, skip: Callable[[str], bool], patience: float
) -> None:
    """Make a suspended table apply its pending writes.

    `skip`: whether to leave out a write that cannot be applied, as of a damaged log. Raises
    Suspended where not.
    """
    statement = f"ALTER TABLE {name} RESUME WAL"
    http.rows(statement)
    while True:
        try:
            http.wait_applied(name, patience)
            return
        except Suspended as error:
            number, written = http.find_failing(name)
            lost = f"transaction {number} of {name}, written {written}"
            beyond = f"{statement} FROM TXN {number + 1}"
            if not skip(lost):
                raise Suspended(
                    f"{error}; cannot apply {lost}",
                    hint="Fix the cause and run it again. If the log itself is damaged, run "
                    "`quotemill questdb resume --skip` to leave out that transaction "
                    f"(`{beyond}`), then `loaders verify tq --repair` to download lost days.",
                ) from None
            http.rows(beyond)
