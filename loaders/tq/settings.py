"""Section `tq` of the settings."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator

from quotemill.settings.allowed import Form, Seconds, TradingDays
from quotemill.settings.section import Open, Section, check_web_address

VARIETY = r"^[A-Z]+\.[A-Za-z]+(_[A-Za-z]+)*$"  # DCE.l_f too


class TqSettings(Section):
    """China futures by TqSdk. Times in seconds."""

    account: Open[SecretStr | None] = Field(
        None, description="name of the shinnytech account. Never displayed"
    )
    password: Open[SecretStr | None] = Field(
        None, description="password of the account. Never displayed"
    )
    varieties: Open[
        list[Annotated[str, Field(pattern=VARIETY), Form("a variety such as SHFE.cu")]]
    ] = Field(["SHFE.cu"], min_length=1, description="products to load, as EXCHANGE.product")
    start: Open[date | None] = Field(
        None,
        description="first trading day to load. Leave empty to start a year before the first "
        "load, and to keep that start",
    )
    route: Open[Literal["backtest", "history"]] = Field(
        "history",
        description="route to the main contracts from which the schedule is built. `--mode "
        "cross-check` uses the other one. A free account has three backtests a day",
    )
    concurrency: Open[int] = Field(
        2, ge=1, le=8, description="contracts to request ticks for at the same time"
    )
    pace: Open[Seconds] = Field(
        0.2,
        ge=0,
        description="minimum pause between two days of ticks requested by one client process",
    )
    days_per_process: Open[int] = Field(
        5,
        ge=1,
        description="days of ticks after which a client process is replaced, because it keeps "
        "all of them in memory",
    )
    timeout: Open[Seconds] = Field(300.0, gt=0, description="maximum wait for a response")
    retries: Open[int] = Field(
        2, ge=0, description="retries of a failed request, each in a new process"
    )
    backoff: Open[Seconds] = Field(
        2.0, ge=0, description="first pause before a retry, doubled each time"
    )
    wait: Open[Seconds] = Field(
        2700.0,
        ge=0,
        description="maximum wait for unreachable servers, such as during maintenance (daily "
        "from 19:00 to 19:30 in Beijing)",
    )
    silence: Open[Seconds] = Field(
        600.0,
        gt=0,
        description="time without ticks in a contract's session after which `--mode live` warns. "
        "If all contracts are silent for so long, it fails",
    )
    stale_after: Open[TradingDays] = Field(
        5, ge=0, description="trading days until outdated data raises an alert (0 = never)"
    )
    sandbox: str | None = Field(
        None, description="address of `loaders sandbox tq`, which replaces all servers"
    )

    @field_validator("varieties", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        values = value.split(",") if isinstance(value, str) else value
        if not isinstance(values, list):
            return values
        stripped = (v.strip() if isinstance(v, str) else v for v in values if v != "")
        return list(dict.fromkeys(stripped))

    @field_validator("account", "password")
    @classmethod
    def _none_if_empty(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value() else None

    _web_address = field_validator("sandbox")(check_web_address)


SECTION = TqSettings
