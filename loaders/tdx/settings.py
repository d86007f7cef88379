"""Section `tdx` of the settings."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from quotemill.errors import SettingsError
from quotemill.instrument_ranges import OTHER_NAMES
from quotemill.settings.allowed import Days, Form, Seconds, TradingDays
from quotemill.settings.section import Open, Section, check_web_address

FOLDER_FIX = (
    "Set tdx.client to the folder that holds vipdoc and T0002. For files from the "
    "vendor, run `unzip hsjday.zip -d /srv/tdx/vipdoc` and `unzip shlday.zip -d "
    "/srv/tdx/vipdoc/sh/lday`, then set tdx.client to /srv/tdx."
)
NO_EVENTS_FIX = "Set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file or xdxr, then quotemill run tdx"
PUBLIC = "public"
OTHER_SERVERS = "Try again later, or set tdx.servers to other quote servers"
PACKAGES = "quotemill run tdx, which downloads the newest packages"
POLITE = {"concurrency": 4, "requests_per_second": 15.0}  # unless set, to quote servers


class TdxSettings(Section):
    """China A shares by the TDX service or the desktop client's folder. Times in seconds."""

    base_url: Open[str | None] = Field(
        None, description="address of the TDX service, such as http://host:8080"
    )
    servers: Open[list[Annotated[str, Form("a host:port, or public")]]] = Field(
        [],
        description="quote servers to use instead of a service: `public`, or a list of addresses",
    )
    corporate_actions: Path | Literal["gbbq", "xdxr"] | None = Field(
        None,
        description="source of corporate actions: a CSV file, a folder of CSV files, `gbbq` (the "
        "desktop client's file) or `xdxr` (the TDX quote servers). Leave empty for gbbq if "
        "tdx.client or tdx.download is set, otherwise xdxr if tdx.servers is set",
    )
    indices: Open[
        list[
            Annotated[str, Field(pattern=r"^(sh|sz|bj)[0-9]{6}$"), Form("a code such as sh000001")]
        ]
    ] = Field(
        ["sh000001", "sz399001", "sh000300"],
        description="indices to load (the source has no list of them)",
    )
    concurrency: Open[int] = Field(
        6,
        ge=1,
        le=6,
        description="concurrent requests. A service allows six, and the default for quote servers "
        "is 4",
    )
    timeout: Open[Seconds] = Field(
        10.0,
        gt=0,
        description="timeout of a request. Bulk requests get three times as long. Also the first "
        "pause when the service is down",
    )
    retries: Open[int] = Field(3, ge=0, description="retries of a failed request")
    backoff: Open[Seconds] = Field(
        0.5, ge=0, description="first pause before a retry, doubled each time"
    )
    batch_size: Open[int] = Field(2000, ge=1, description="codes per task of a load")
    slice_size: Open[int] = Field(
        500,
        ge=1,
        le=500,
        description="codes per batch of rows. If only files are read and this is not set, one "
        "batch per task",
    )
    overlap: Open[Days] = Field(10, ge=1, description="days that an incremental load reads again")
    requests_per_second: Open[float | None] = Field(
        None,
        gt=0,
        description="maximum requests per second over all endpoints. Leave empty for no limit "
        "(quote servers: 15)",
    )
    stale_after: Open[TradingDays] = Field(
        5, ge=0, description="trading days until outdated data raises an alert (0 = never)"
    )
    client: Open[Path | None] = Field(
        None,
        description="folder of the desktop client, with vipdoc and T0002. Its files are used "
        "before the service, which is then optional",
    )
    download: bool = Field(
        False,
        description="download the vendor's daily packages into tdx.client (default: the folder "
        "tdx in the home)",
    )
    download_url: str = Field(
        "https://www.tdx.com.cn/products/data/data",
        description="address of the vendor's daily packages",
    )
    download_days: Open[TradingDays] = Field(
        60,
        ge=1,
        description="number of recent trading days to download. A folder that already has more "
        "is continued",
    )
    minute_days: Open[Days] = Field(
        100,
        ge=1,
        le=100,
        description="days of minute bars for the first load (at most 100)",
    )
    tick_days: Open[Days] = Field(
        60, ge=1, description="number of recent trading days to keep complete ticks for"
    )
    realtime_when_busy: Open[Literal["skip", "queue"]] = Field(
        "skip", description="what a realtime load does if another load of the source is running"
    )

    _web_address = field_validator("base_url", "download_url")(check_web_address)

    @field_validator("corporate_actions", "client")
    @classmethod
    def _own_home(cls, value: Path | str | None) -> Path | str | None:
        return value.expanduser() if isinstance(value, Path) else value

    @field_validator("indices", "servers", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [v.strip() for v in value.split(",") if v.strip()]
        return [OTHER_NAMES.get(v, v) for v in value] if isinstance(value, list) else value

    @field_validator("servers")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for text in value:
            host, _, port = text.rpartition(":")
            if text != PUBLIC and not (
                host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536
            ):
                raise ValueError(f"{text!r} is not host:port, such as 127.0.0.1:7709")
        return value

    @model_validator(mode="after")
    def _one_service(self) -> Self:
        if self.base_url and self.servers:
            raise ValueError(
                "tdx.base_url and tdx.servers cannot be used together: unset one of them"
            )
        return self

    @property
    def has_service(self) -> bool:
        """Whether there is a service, or quote servers that answer as one."""
        return bool(self.base_url or self.servers)

    def require_service(self) -> str:
        """The address of the service. Raises SettingsError where none is configured."""
        if self.servers:
            return "http://quote-servers"  # for their transport, which asks no such host
        if self.base_url is None:
            raise SettingsError(
                "no TDX service is configured",
                hint="Set QUOTEMILL_TDX__BASE_URL=http://host:8080 or "
                "QUOTEMILL_TDX__SERVERS=public, or run `loaders sandbox tdx`.",
            )
        return self.base_url

    def choose_fix(self, *, service: str = "", client: str = "") -> str:
        """Choose the fix of a fault: quote servers and packages have their own.

        service: of a TDX service
        client: of the desktop client's folder
        """
        if service:
            return OTHER_SERVERS if self.servers else service
        return PACKAGES if self.download else client

    def below(self, _home: Path) -> Self:
        changed: dict[str, Any] = POLITE if self.servers else {}
        changed = {n: v for n, v in changed.items() if n not in self.model_fields_set}
        if self.download and self.client is None:
            changed["client"] = _home / "tdx"
        return self.model_copy(update=changed) if changed else self

    @property
    def actions_source(self) -> Path | Literal["gbbq", "xdxr"] | None:
        """The source of corporate actions: gbbq, xdxr, a path, or None."""
        default: Literal["xdxr"] | None = "xdxr" if self.servers else None
        return self.corporate_actions or ("gbbq" if self.client else default)

    @property
    def address(self) -> str | None:
        """The service without user and password, or quote servers, for people and records."""
        if self.servers:
            return f"quote servers {', '.join(self.servers)}"
        if self.base_url is None:
            return None
        scheme, _, rest = self.base_url.partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


SECTION = TdxSettings
