"""TimescaleDB in a warehouse: whether it is there, of which edition, and what that one lacks.

macros/timescale/timescale_edition.sql asks the same for dbt.
"""

from dataclasses import dataclass

import psycopg

from loaders.errors import SettingsError

OLDEST = (2, 18, 0)  # macros/timescale/refuse_old_timescale.sql says the same
_LICENSED = ("compression", "continuous aggregates")


@dataclass(frozen=True)
class Timescale:
    """What a database has: `edition` none, apache or tsl, and the extension's version."""

    edition: str
    version: str | None = None

    @property
    def off(self) -> list[str]:
        """What the other editions bring and this one does not."""
        lacks = {"none": ("hypertables", *_LICENSED), "apache": _LICENSED}
        return list(lacks.get(self.edition, ()))

    def __str__(self) -> str:
        if self.version is None:
            return "plain PostgreSQL, without TimescaleDB"
        name = "community" if self.edition == "tsl" else "Apache"
        return f"TimescaleDB {self.version} ({name} edition)"


def find(conn: psycopg.Connection) -> Timescale:
    """What the database of the connection has. Raises SettingsError for a version that is too old."""
    found = conn.execute(
        "select case current_setting('timescaledb.license', true) "
        "when 'timescale' then 'tsl' else 'apache' end, extversion "
        "from pg_extension where extname = 'timescaledb'"
    ).fetchone()
    if found is None:
        return Timescale("none")
    edition, version = found
    numbers = version.partition("-")[0].split(".")
    if tuple(int(number) for number in numbers if number.isdigit()) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SettingsError(
            f"this warehouse has TimescaleDB {version}; {oldest} is the oldest that serves: older ones do "
            "not have the columnstore's functions",
            hint="install a newer version on its server, then in a session of psql -X: "
            "alter extension timescaledb update",
        )
    return Timescale(edition, version)
