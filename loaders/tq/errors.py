"""Failures between us and the futures servers, by who can fix them."""

from quotemill.errors import SettingsError, UpstreamError


class TqAuthError(SettingsError):
    """The servers do not let the account in."""


class TqPermissionError(SettingsError):
    """The account lacks a permission, most often the professional history (`tq_dl`)."""


class TqBacktestsSpent(TqPermissionError):
    """The servers refuse a backtest: a free account has three a day."""


class TqMissing(SettingsError):
    """The client is not installed."""


class UnknownSymbol(SettingsError):
    """The servers know no such variety or contract; `symbols` names them."""

    reason = "unknown to the futures servers: {}"
    hint_of_kind = "Write products as SHFE.cu and contracts as SHFE.cu2601 (capitals matter)."

    def __init__(self, symbols: list[str], *, hint: str = "") -> None:
        text = self.reason.format(", ".join(symbols))
        super().__init__(text, hint=hint or self.hint_of_kind)
        self.symbols = symbols


class UndescribedSymbol(UnknownSymbol):
    """The servers list contracts whose tick size their query of contracts does not give.

    The client answers nothing about such a contract.
    """

    reason = "listed by the futures servers without a description: {}"
    hint_of_kind = "Wait for the next load, which will retry."


class TqAnswerError(UpstreamError):
    """An answer that cannot be right, such as a continuous series without a bar."""


class TqTransport(UpstreamError):
    """A question without an answer, worth a retry."""


class TqAway(TqTransport):
    """A server cannot be reached, refuses connections, or answers with an error page.

    So it does in its daily maintenance: worth waiting for.
    """


class TqSettlementsAway(TqTransport):
    """The service of settlement prices, a host of its own, gave no answer that can be read."""


class TqTimeout(TqTransport):
    """A server was reached and did not answer in time."""


class TqClientError(TqTransport):
    """The client itself failed in an unknown way.

    A new process asks once more; then it is the failure of that key and says nothing about the
    servers.
    """
