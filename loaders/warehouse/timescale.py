"""The edition and version of TimescaleDB in a warehouse, and what that edition lacks.

macros/timescale/timescale_edition.sql does the same for dbt.
"""

from dataclasses import dataclass

import psycopg

from quotemill.errors import SettingsError

OLDEST = (2, 18, 0)  # macros/timescale/refuse_old_timescale.sql says the same
_LICENSED = ("compression", "continuous aggregates")


@dataclass(frozen=True)
class Timescale:
    """TimescaleDB in a database: `edition` none, apache or tsl, and its version."""

    edition: str
    version: str | None = None

    @property
    def off(self) -> list[str]:
        """Parts of other editions that this one lacks."""
        lacks = {"none": ("hypertables", *_LICENSED), "apache": _LICENSED}
        return list(lacks.get(self.edition, ()))

    def __str__(self) -> str:
        if self.version is None:
            return "plain PostgreSQL, without TimescaleDB"
        name = "community" if self.edition == "tsl" else "Apache"
        return f"TimescaleDB {self.version} ({name} edition)"


def find(conn: psycopg.Connection) -> Timescale:
    """TimescaleDB in a database. Raises SettingsError for a version that is too old."""
    row = conn.execute(
        "select case current_setting('timescaledb.license', true) when 'timescale' then 'tsl' "
        "else 'apache' end, extversion from pg_extension where extname = 'timescaledb'"
    ).fetchone()
    if row is None:
        return Timescale("none")
    edition, version = row
    numbers = version.partition("-")[0].split(".")
    if tuple(int(number) for number in numbers if number.isdigit()) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SettingsError(
            f"this warehouse has TimescaleDB {version}, but quotemill needs {oldest} or "
            "newer for its columnstore functions",
            hint="Install a newer version on its server, then run in a session of psql "
            "-X: alter extension timescaledb update",
        )
    return Timescale(edition, version)
