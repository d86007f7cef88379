"""Errors of a gateway, by who can fix them.

No error carries an account number: texts of the gateway go through `events.mask` first.
"""

from quotemill.errors import SettingsError, UpstreamError


class IbMissing(SettingsError):
    """The client is not installed."""


class NotPermitted(SettingsError):
    """The account lacks a market data subscription."""


class UnknownUnderlying(SettingsError):
    """The gateway knows no such stock or index; `symbols` names them."""

    def __init__(self, symbols: list[str], sec_type: str = "STK", exchange: str = "") -> None:
        hint = "Write US stocks as symbols in capitals: AAPL, BRK B. An index needs sec_type IND."
        if sec_type == "IND":
            hint = "Write an index as its symbol in capitals and its exchange: SPX at CBOE."
        place = f" at {exchange}" if exchange else ""
        super().__init__(f"unknown to the gateway: {', '.join(symbols)}{place}", hint=hint)
        self.symbols = symbols


class GatewayGone(UpstreamError):
    """The gateway cannot be reached, or broke off and could not be reached again."""


class GatewayTimeout(GatewayGone):
    """The gateway is there and did not answer in time."""


class ClientIdInUse(UpstreamError):
    """Every client id that may be used is taken by another connection."""


class PacingViolation(UpstreamError):
    """The gateway turned a request away because too many came; worth a retry later."""


class CompetingSession(UpstreamError):
    """Another log-in of the same user takes the market data."""


class RequestFailed(UpstreamError):
    """The gateway refused a request about an underlying; `code` is its number."""

    def __init__(self, message: str, code: int | None, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
