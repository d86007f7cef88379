"""Section `server` of the settings."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, field_validator

from quotemill.settings.section import Section


class Address(NamedTuple):
    """A port of this machine."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class ServerSettings(Section):
    """The embedded server: its programs and its door."""

    listen: str | None = Field(
        None,
        description="local address at which the read-only role can connect with a password. "
        "Leave empty for none (the embedded server then only has a socket)",
    )

    programs: Path | None = Field(
        None,
        description="folder with the programs of another PostgreSQL, 15 or newer",
    )

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
            raise ValueError("must be an address and a port: 127.0.0.1:5433") from None
        if not address.is_loopback:
            raise ValueError(
                f"must be a local address, 127.0.0.1 or [::1], not {host}: readers on "
                "other machines need your own PostgreSQL server (warehouse_url)"
            )
        if not re.fullmatch(r"[1-9]\d{3,4}", port) or not 1024 <= int(port) <= 65535:
            raise ValueError("must have a port from 1024 to 65535: 127.0.0.1:5433")
        return value

    @property
    def address(self) -> Address | None:
        """Where readers get in; None where the server has a socket only."""
        if self.listen is None:
            return None
        host, port = _split(self.listen)
        return Address(host, int(port))


def _split(listen: str) -> tuple[str, str]:
    host, _, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return host, port


SECTION = ServerSettings
