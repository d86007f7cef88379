"""Section `server` of the settings."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from loaders.warehouse.embedded.machine import machine
from quotemill.settings.allowed import Form
from quotemill.settings.section import Section

UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
LEAST = {"shared_buffers": "128kB", "max_wal_size": "32MB"}  # of the others 64kB
Size = Annotated[str, Form("a whole number and a unit, kB, MB, GB or TB: 512MB")]


def in_bytes(size: str) -> int:
    """The bytes of a size as PostgreSQL writes it, `512MB`."""
    number, unit = re.fullmatch(r"(\d+)(\w+)", size).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


class Address(NamedTuple):
    """A port of this machine."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class ServerSettings(Section):
    """The embedded server: its programs, its door, and sizes; an empty one suits the machine."""

    listen: str | None = Field(
        None,
        description="address of this machine where a role that may only read gets in with a "
        "password; empty: none, the embedded server has a socket only",
    )

    programs: Path | None = Field(
        None,
        description="folder of the programs of another PostgreSQL, 15 or newer",
    )

    shared_buffers: Size | None = Field(
        None, description="memory for the tables that the embedded server keeps at hand"
    )
    work_mem: Size | None = Field(None, description="memory of each sort or hash of a query")
    maintenance_work_mem: Size | None = Field(
        None, description="memory of the building of an index, or of a vacuum"
    )
    max_wal_size: Size | None = Field(
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

    @field_validator("programs", mode="before")
    @classmethod
    def _may_be_empty(cls, value: object) -> object:
        return value or None

    @field_validator("listen")
    @classmethod
    def _is_of_this_machine(cls, value: str | None) -> str | None:
        if not value:
            return None
        host, port = _split(value)
        try:
            address = ip_address(host)
        except ValueError:
            raise ValueError("is an address and a port: 127.0.0.1:5433") from None
        if not address.is_loopback:
            raise ValueError(
                f"is an address of this machine alone, 127.0.0.1 or [::1], not {host}: readers on "
                "other machines need a PostgreSQL server of your own (warehouse_url)"
            )
        if not re.fullmatch(r"[1-9]\d{3,4}", port) or not 1024 <= int(port) <= 65535:
            raise ValueError("has a port from 1024 to 65535: 127.0.0.1:5433")
        return value

    @property
    def address(self) -> Address | None:
        """Where readers get in; None where the server has a socket only."""
        if self.listen is None:
            return None
        host, port = _split(self.listen)
        return Address(host, int(port))

    def given(self) -> dict[str, str]:
        """The sizes that are set, by PostgreSQL's names."""
        places = ("listen", "programs")
        return {n: str(value) for n, value in self if n not in places and value is not None}


def _split(listen: str) -> tuple[str, str]:
    host, _, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return host, port


SECTION = ServerSettings
