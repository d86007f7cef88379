"""Is the gateway there, which data does it serve, and does its clock agree? For people to ask before a load."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from loaders.engine.source import Checked
from loaders.errors import QuotemillError
from loaders.ib.client.gateway import Candidate, Failure, Gateway
from loaders.ib.client.library import check_client
from loaders.ib.contracts import universe
from loaders.ib.errors import GatewayGone, GatewayTimeout
from loaders.ib.slots import date_in_new_york
from loaders.settings import Settings

WORDS = {1: "live", 2: "frozen", 3: "delayed", 4: "delayed and frozen", None: "no"}
OFF = timedelta(seconds=5)  # of a clock that makes slots wrong
LOOKED_UP = (
    3  # of the nearest expirations, and of each the nearest strikes: not all that fit are listed
)


@dataclass(frozen=True)
class OptionSeen:
    """What one option was served as, None where nothing came (then `why` tells); `name` and `conid` are None
    where none was found."""

    served_type: int | None
    name: str | None = None
    conid: int | None = None
    why: str = ""


def check(settings: Settings, _: datetime) -> Checked:
    """Connect and ask for a quote of the heaviest stock and of an option of it.

    Raises SettingsError, UpstreamError.
    """
    check_client()
    from loaders.ib.client import live_gateway

    symbol = universe.groups(settings.ib, None)[0][0]
    with live_gateway.gateway(settings.ib) as gateway:
        found = gateway.probe(symbol)
        option = option_near_the_money(gateway, symbol, found.requested_type)
        source = gateway.source()
    seconds = found.clock_difference.total_seconds()
    asked = WORDS[found.requested_type]
    warnings = [
        _served(symbol, asked, found.served_type, _told(found.failure)),
        _served(option.name or f"an option of {symbol}", asked, option.served_type, option.why),
    ]
    if found.served_type is not None and option.served_type is None:
        warnings.append("options need a market data subscription of their own (OPRA)")
    if abs(found.clock_difference) > OFF and settings.ib.clock == "machine":
        warnings.append(
            f"the gateway's clock differs by {seconds:+.0f} s: slots go by this machine's"
        )
    place = f"{settings.ib.host}:{settings.ib.port}"
    return Checked(
        f"the gateway at {place} ({source}, version {found.server_version}) serves "
        f"{WORDS[found.served_type]} data of {symbol} and {WORDS[option.served_type]} data of its options "
        f"to client {found.client_id}; its clock differs by {seconds:+.0f} s",
        tuple(filter(None, warnings)),
        {
            "source": source,
            "server_version": found.server_version,
            "client_id": found.client_id,
            "accounts": found.accounts,
            "symbol": symbol,
            "requested_type": found.requested_type,
            "served_type": found.served_type,
            "option": option.name,
            "option_conid": option.conid,
            "option_served_type": option.served_type,
            "server_time": found.server_time,
            "clock_difference_s": seconds,
        },
    )


def option_near_the_money(gateway: Gateway, symbol: str, data_type: int) -> OptionSeen:
    """A quote of a call of the nearest expiration after today. Raises GatewayGone, ClientIdInUse."""
    try:
        stock, today = gateway.stock(symbol), date_in_new_york(gateway.now())
        close = gateway.previous_close(stock).price
        params = max(gateway.option_params(stock), key=lambda p: len(p.strikes), default=None)
    except QuotemillError as error:
        if isinstance(error, GatewayGone) and not isinstance(error, GatewayTimeout):
            raise
        return OptionSeen(None, why=str(error))
    if params is None:
        return OptionSeen(None, why="the gateway names none")
    expiries = sorted(day for day in params.expirations if day > today)[:LOOKED_UP]
    strikes = sorted(params.strikes, key=lambda strike: abs(strike - close))[:LOOKED_UP]
    looked_up = gateway.qualify(
        [
            Candidate(symbol, stock.conid, params.trading_class, expiry, strike, "C")
            for expiry, strike in product(expiries, strikes)
        ]
    )
    if not looked_up.contracts:
        refused = _told(looked_up.failed[0][1]) if looked_up.failed else "none near the money"
        return OptionSeen(None, why=refused)
    contract = looked_up.contracts[0]
    (quote,) = gateway.quotes([contract], data_type)
    why = _told(quote.failure)
    return OptionSeen(quote.market_data_type, contract.local_symbol, contract.conid, why)


def _served(what: str, asked: str, served: int | None, why: str) -> str | None:
    """What is to be said where other data came than were asked for."""
    if served is None:
        return f"no data of {what} came, {asked} data were asked for{why and f': {why}'}"
    if WORDS[served] != asked:
        return f"{asked} data of {what} were asked for, {WORDS[served]} data came"
    return None


def _told(failure: Failure | None) -> str:
    return failure.error_message if failure else ""
