"""Section `server` of the settings."""

import re

from pydantic import Field, ValidationInfo, field_validator

from loaders.section import Section
from loaders.warehouse.embedded.machine import machine

UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
LEAST = {"shared_buffers": "128kB", "max_wal_size": "32MB"}  # of the others 64kB


def in_bytes(size: str) -> int:
    """The bytes of a size as PostgreSQL writes it, `512MB`."""
    number, unit = re.fullmatch(r"(\d+)(\w+)", size).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


class ServerSettings(Section):
    """Sizes of the embedded server, by PostgreSQL's names; the rest fits the machine."""

    shared_buffers: str | None = Field(
        None, description="memory for the tables that the embedded server keeps at hand"
    )
    work_mem: str | None = Field(None, description="memory of each sort or hash of a query")
    maintenance_work_mem: str | None = Field(
        None, description="memory of the building of an index, or of a vacuum"
    )
    max_wal_size: str | None = Field(
        None, description="room on the disk for what is written between checkpoints"
    )
    max_parallel_workers: int | None = Field(
        None, ge=0, le=1024, description="processes that work at queries beside their own"
    )
    max_parallel_workers_per_gather: int | None = Field(
        None, ge=0, le=1024, description="of these at most for one query"
    )
    max_parallel_maintenance_workers: int | None = Field(
        None, ge=0, le=1024, description="of these at most for the building of one index"
    )

    @field_validator("shared_buffers", "work_mem", "maintenance_work_mem", "max_wal_size")
    @classmethod
    def _fits(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not re.fullmatch(rf"[1-9]\d*({'|'.join(UNITS)})", value):
            raise ValueError("is a whole number and a unit, kB, MB, GB or TB: 512MB")
        least = LEAST.get(str(info.field_name), "64kB")
        if in_bytes(value) < in_bytes(least):
            raise ValueError(f"is {least} at least")
        if info.field_name != "max_wal_size" and in_bytes(value) > (here := machine()).memory:
            raise ValueError(f"is more than this machine has: {here}")
        return value

    def given(self) -> dict[str, str]:
        """The sizes that are set, by PostgreSQL's names."""
        return {name: str(value) for name, value in self if value is not None}


SECTION = ServerSettings
