"""Section `questdb` of the settings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from quotemill.settings.allowed import Form, Seconds
from quotemill.settings.section import Open, Section, check_web_address


class QuestdbSettings(Section):
    """QuestDB as the tick store: the local server, and waits. Times in seconds."""

    port: Open[int] = Field(
        0,
        ge=0,
        le=65535,
        description="port of the local server. 0 = the port of its last start, or any free one",
    )
    heap: Open[Annotated[str, Form("a size such as 512m or 2g")]] = Field(
        "512m", pattern=r"^[1-9][0-9]*[mg]$", description="Java heap of the local server"
    )
    fsync: Open[bool] = Field(
        True,
        description="wait for the disk at each commit of the local server, to survive a power cut",
    )
    java: Path | None = Field(None, description="path of the program `java`, version 17 or newer")
    jar: Path | None = Field(None, description="path of QuestDB's jar (used as it is)")
    repository: str | None = Field(
        None,
        description="base address of a Maven repository with the jar. If not set, `mvn` "
        "downloads it, otherwise https://repo1.maven.org/maven2",
    )
    wait: Open[Seconds] = Field(
        120.0, ge=0, description="maximum wait for a server that becomes unreachable during a load"
    )

    @field_validator("java", "jar")
    @classmethod
    def _own_home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value else None

    _web_address = field_validator("repository")(check_web_address)


SECTION = QuestdbSettings
