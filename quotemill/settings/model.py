"""The settings outside of every section, as one frozen value."""

import os
import re
from pathlib import Path
from typing import Annotated, Self

from platformdirs import user_data_dir
from pydantic import Field, SecretStr, field_validator, model_validator

from quotemill.settings.allowed import Days, Form, Unit
from quotemill.settings.section import Open, Section

LOCAL = "local"  # as questdb_url: the server of the home
Name = Annotated[
    str,
    Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$"),
    Form("a name of lower-case letters, digits and _"),
]


class TopSettings(Section):
    """The settings outside of every section.

    origins  where each value came from, by dotted name
    removed  settings of earlier versions that were left out, each with its place
    """

    home: Path = Field(
        default_factory=lambda: Path(user_data_dir("quotemill", appauthor=False)),
        description="folder for all files that quotemill writes",
    )
    warehouse_url: Open[SecretStr | None] = Field(
        None, description="PostgreSQL 15+ URL. Leave empty for the embedded server"
    )
    request_log: Path | None = Field(
        None, description="file that every request and retry of a load is appended to"
    )
    log_days: Open[Days] = Field(30, ge=1, description="days to keep command logs")
    log_megabytes: Open[Annotated[int, Unit("MB")]] = Field(
        500, ge=1, description="total size limit of these logs. The oldest are deleted first"
    )
    embedded_server: Open[bool] = Field(
        True,
        description="start an embedded server if no warehouse_url is set. If false, fail instead",
    )
    market_schema: Open[Name] = Field("market", description="name of the market schema")
    reader_role: Open[Name | None] = Field(
        None, description="read-only role to grant access to the built tables"
    )
    finding_limit: Open[int] = Field(
        0, ge=0, description="new error findings allowed before a run exits with code 5"
    )
    questdb_url: Open[SecretStr] = Field(
        SecretStr(LOCAL),
        description="QuestDB tick store, such as http://user:password@host:9000. With `local`, loads "
        "start one in the home",
    )
    backup_folder: Path | None = Field(
        None, description="folder of `quotemill backup`. Leave empty for `backups` in the home"
    )
    backups_kept: Open[int] = Field(4, ge=1, description="backups to keep of each warehouse")
    origins: dict[str, str] = Field(default_factory=dict, exclude=True)
    removed: dict[str, str] = Field(default_factory=dict, exclude=True)

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # dbt and the embedded server would each resolve a relative path in another folder
        return Path(os.path.normpath(value.expanduser().absolute()))

    @model_validator(mode="after")
    def _place_folders(self) -> Self:
        for name, section in self:
            if isinstance(section, Section):
                self.__dict__[name] = section.below(self.home)  # past the frozen model's guard
        return self

    @field_validator("warehouse_url")
    @classmethod
    def _none_if_empty(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value() else None

    @field_validator("questdb_url")
    @classmethod
    def _local_if_empty(cls, value: SecretStr) -> SecretStr:
        return value if value.get_secret_value() else SecretStr(LOCAL)

    @property
    def has_own_questdb(self) -> bool:
        """Whether ticks live in the QuestDB of this home."""
        return self.questdb_url.get_secret_value() == LOCAL

    def origin(self, name: str) -> str:
        """Where the value of `name` (`tdx.base_url`) came from, for people to read."""
        return self.origins.get(name, "default")

    @property
    def places(self) -> list[str]:
        """Where settings came from: the environment, files, flags."""
        named = (re.sub(r" [A-Z0-9_]+$", "", origin) for origin in self.origins.values())
        return list(dict.fromkeys(named))
