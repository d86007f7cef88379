"""What can go wrong between us and the futures servers, told apart by who can mend it."""

from datetime import date

from loaders.errors import SettingsError, UpstreamError


class TqAuthError(SettingsError):
    """The servers do not let the account in."""


class TqPermissionError(SettingsError):
    """The account is let in, but lacks a permission: the professional history (`tq_dl`) above all."""


class TqMissing(SettingsError):
    """The client is not installed."""


class UnknownSymbol(SettingsError):
    """The servers know no such variety or contract; `symbols` names them."""

    def __init__(self, symbols: list[str], *, hint: str = "") -> None:
        hint = hint or "written as SHFE.cu and SHFE.cu2601; capitals count"
        super().__init__(f"the futures servers know no {', '.join(symbols)}", hint=hint)
        self.symbols = symbols


class TqAnswerError(UpstreamError):
    """An answer that cannot be right, such as a continuous series without a bar.

    `trading_day`: the day of ticks that was asked for; None where none was yet."""

    trading_day: date | None = None


class TqTransport(UpstreamError):
    """A server cannot be reached, broke off, or answered with an error page; worth a retry.

    `trading_day`: the day of ticks that was asked for; None where none was yet."""

    trading_day: date | None = None


class TqTimeout(TqTransport):
    """A server was reached and did not answer in time."""


class TqClientError(TqTransport):
    """The client itself failed at a question, in a way nobody knows: asked again by a new process, it is
    the failure of that key and says nothing of the servers."""
