"""`loaders check ib`: the gateway, the data that it serves, its clock."""

from dataclasses import dataclass
from datetime import datetime
from itertools import product

from loaders.check import Check, describe_service
from loaders.ib.client.clocks import MOST_DIFFERENCE
from loaders.ib.client.gateway import Gateway, open_gateway
from loaders.ib.client.library import check_client
from loaders.ib.client.values import Failure
from loaders.ib.contracts import universe
from loaders.ib.contracts.discovery import make_candidate
from loaders.ib.contracts.universe import Member
from loaders.ib.errors import GatewayGone, GatewayTimeout
from loaders.ib.slots import date_in_new_york
from loaders.settings import Settings
from quotemill.errors import QuotemillError

WORDS = {1: "live", 2: "frozen", 3: "delayed", 4: "delayed and frozen", None: "no"}
# nearest expirations and strikes that are looked up: not all pairs are listed
NEAREST = 3


@dataclass(frozen=True)
class OptionProbe:
    """The kind of data of an option; None where nothing came, with the reason in `why`."""

    served_type: int | None
    name: str | None = None
    conid: int | None = None
    why: str = ""


def check(settings: Settings, _: datetime) -> Check:
    """Connect and ask for a quote of the heaviest underlying and of an option of it.

    Raises SettingsError, UpstreamError.
    """
    check_client()
    symbol = universe.groups(settings.ib, None)[0][0]
    member = universe.find_member(settings.ib, symbol)
    with open_gateway(settings.ib) as gateway:
        probe = gateway.probe(symbol, member.sec_type, member.exchange)
        option = probe_option(gateway, member, probe.requested_type)
        source = gateway.source()
    seconds = probe.clock_difference.total_seconds()
    requested = WORDS[probe.requested_type]
    option_name = option.name or f"an option of {symbol}"
    warnings = [
        *universe.list_mistakes(settings.ib),
        _compare(symbol, requested, served=probe.served_type, why=_message(probe.failure)),
        _compare(option_name, requested, served=option.served_type, why=option.why),
    ]
    if probe.served_type is not None and option.served_type is None:
        warnings.append("options need their own market data subscription (OPRA)")
    is_followed = settings.ib.clock == "gateway"
    if abs(probe.clock_difference) > MOST_DIFFERENCE and not is_followed:
        warnings.append(
            f"the gateway's clock differs by {seconds:+.0f} s: slots follow this machine's clock"
        )
    place = f"{settings.ib.host}:{settings.ib.port}"
    clock = f"its clock differs by {seconds:+.0f} s"
    if is_followed:
        clock = f"its clock differs by {seconds:+.0f} s and loads follow it"
    return describe_service(
        f"the gateway at {place} ({source}, version {probe.server_version}) provides "
        f"{WORDS[probe.served_type]} data for {symbol} and {WORDS[option.served_type]} "
        f"data for its options to client {probe.client_id}; {clock}, and its login uses "
        f"the time zone {probe.time_zone}",
        filter(None, warnings),
        {
            "source": source,
            "server_version": probe.server_version,
            "client_id": probe.client_id,
            "accounts": probe.accounts,
            "symbol": symbol,
            "requested_type": probe.requested_type,
            "served_type": probe.served_type,
            "option": option.name,
            "option_conid": option.conid,
            "option_served_type": option.served_type,
            "server_time": probe.server_time,
            "clock_difference_s": seconds,
            "time_zone": probe.time_zone,
        },
    )


def probe_option(gateway: Gateway, member: Member, data_type: int) -> OptionProbe:
    """A quote of a call that expires next after today. Raises GatewayGone, ClientIdInUse."""
    try:
        underlying = gateway.find_underlying(member.symbol, member.sec_type, member.exchange)
        today = date_in_new_york(gateway.now())
        close = gateway.previous_close(underlying).price
        params = max(gateway.option_params(underlying), key=lambda p: len(p.strikes), default=None)
    except QuotemillError as error:
        if isinstance(error, GatewayGone) and not isinstance(error, GatewayTimeout):
            raise
        return OptionProbe(None, why=str(error))
    if params is None:
        return OptionProbe(None, why="the gateway lists no options")
    expiries = sorted(day for day in params.expirations if day > today)[:NEAREST]
    strikes = sorted(params.strikes, key=lambda strike: abs(strike - close))[:NEAREST]
    qualified = gateway.qualify(
        [
            make_candidate(underlying, params, expiry=expiry, strike=strike, right="C")
            for expiry, strike in product(expiries, strikes)
        ]
    )
    if not qualified.contracts:
        failure = qualified.failed[0][1] if qualified.failed else None
        return OptionProbe(None, why=_message(failure) or "none is listed near the money")
    contract = qualified.contracts[0]
    (quote,) = gateway.quotes([contract], data_type)
    why = _message(quote.failure)
    return OptionProbe(quote.market_data_type, contract.local_symbol, contract.conid, why)


def _compare(what: str, requested: str, *, served: int | None, why: str) -> str | None:
    """A warning where other data came than were requested."""
    if served is None:
        return (
            f"no data for {what} arrived, although {requested} data were "
            f"requested{why and f': {why}'}"
        )
    if WORDS[served] != requested:
        return f"{requested} data for {what} were requested, but {WORDS[served]} data arrived"
    return None


def _message(failure: Failure | None) -> str:
    return failure.error_message if failure else ""
