"""Section `ib` of the settings."""

from typing import Any, Literal

from pydantic import Field, field_validator

from loaders.section import Section


class IbSettings(Section):
    """Option chains by an IB Gateway or TWS. Times in seconds."""

    host: str | None = Field(
        None, description="machine of the gateway; empty: the source is not loaded"
    )
    port: int = Field(
        4002, ge=1, le=65535, description="gateway 4001 live, 4002 paper; TWS 7496 live, 7497 paper"
    )
    client_id: int = Field(
        101, ge=1, description="number of the connection; 0 would bind manual orders"
    )
    client_id_pool: list[int] = Field(
        [102, 103, 104, 105],
        description="numbers to try, in this order, where `client_id` is in use",
    )
    market_data_type: int = Field(
        1,
        ge=1,
        le=4,
        description="what a slot asks for: 1 live, 2 frozen, 3 delayed, 4 delayed or frozen",
    )
    allow_fallback_to_delayed: bool = Field(
        True, description="ask for delayed data where live data are not permitted"
    )
    clock: Literal["machine", "gateway"] = Field(
        "machine",
        description="whose time it is: this machine's, or the gateway's in whole seconds (a sandbox's)",
    )
    connect_timeout: float = Field(10.0, gt=0, description="longest wait for a connection")
    timeout: float = Field(30.0, gt=0, description="longest wait for an answer about contracts")
    quote_timeout: float = Field(
        12.0, gt=0, description="longest wait for the quotes of a batch; a snapshot ends after 11"
    )
    settle: float = Field(
        1.0, ge=0, description="how long a complete quote may miss its end before it is cancelled"
    )
    connectivity_wait: float = Field(
        60.0, ge=0, description="longest wait of a batch for a gateway that lost its servers"
    )
    retry_waits: list[float] = Field(
        [30.0, 60.0, 120.0, 240.0],
        description="pauses before a lost connection is opened again, and after pacing violations",
    )
    messages_per_second: int = Field(
        40, ge=1, le=50, description="messages on the wire; the gateway takes 50"
    )
    market_data_lines: int = Field(
        100, ge=2, description="contracts that the account may look at at once"
    )
    qualify_batch_size: int = Field(50, ge=1, description="contracts that are looked up at once")

    @field_validator("host")
    @classmethod
    def _none_if_empty(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("client_id_pool", "retry_waits", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        found = value.split(",") if isinstance(value, str) else value
        if not isinstance(found, list):
            return found
        return [v.strip() if isinstance(v, str) else v for v in found if v != ""]

    @field_validator("client_id_pool")
    @classmethod
    def _no_zero(cls, value: list[int]) -> list[int]:
        if any(number < 1 for number in value):
            raise ValueError("a client id is at least 1: 0 would bind manual orders")
        return value
