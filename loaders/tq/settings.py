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
        None, description="name of the account at shinnytech; shown nowhere"
    )
    password: Open[SecretStr | None] = Field(None, description="its password; shown nowhere")
    varieties: Open[
        list[Annotated[str, Field(pattern=VARIETY), Form("a variety such as SHFE.cu")]]
    ] = Field(["SHFE.cu"], min_length=1, description="varieties to load, EXCHANGE.variety")
    start: Open[date | None] = Field(
        None,
        description="first trading day; empty: a year before the first load, and then that day",
    )
    route: Open[Literal["backtest", "history"]] = Field(
        "history",
        description="route to the main contracts from which the schedule is built; `--mode "
        "cross-check` takes the other one. A free account has three backtests a day",
    )
    concurrency: Open[int] = Field(
        2, ge=1, le=8, description="contracts whose ticks are asked for at once"
    )
    pace: Open[Seconds] = Field(
        0.2,
        ge=0,
        description="shortest time between two days of ticks that a process of the client asks for",
    )
    days_per_process: Open[int] = Field(
        5,
        ge=1,
        description="days of ticks after which a new process of the client replaces one, which "
        "keeps all of them in memory",
    )
    timeout: Open[Seconds] = Field(300.0, gt=0, description="longest wait for an answer")
    retries: Open[int] = Field(
        2, ge=0, description="retries of a failed request, each by a new process"
    )
    backoff: Open[Seconds] = Field(
        2.0, ge=0, description="first pause before a retry; doubled each time"
    )
    wait: Open[Seconds] = Field(
        2700.0,
        ge=0,
        description="longest wait for servers that are away, as each day from 19:00 to 19:30 in "
        "Beijing",
    )
    silence: Open[Seconds] = Field(
        600.0,
        gt=0,
        description="how long a contract may have no tick in its session before the recorder of "
        "`--mode live` warns; it fails if all are silent for so long",
    )
    stale_after: Open[TradingDays] = Field(
        5, ge=0, description="trading days after which late data are an alert; 0: never"
    )
    sandbox: str | None = Field(
        None, description="address of `loaders sandbox tq`, which stands for all servers"
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
