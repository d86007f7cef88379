"""Is the gateway there, which data does it serve, and does its clock agree? For people to ask before a load."""

from datetime import datetime, timedelta

from loaders.engine.source import Checked
from loaders.ib import universe
from loaders.ib.service.library import check_client
from loaders.settings import Settings

WORDS = {1: "live", 2: "frozen", 3: "delayed", 4: "delayed and frozen", None: "no"}
OFF = timedelta(seconds=5)  # of a clock that makes slots wrong


def check(settings: Settings, _: datetime) -> Checked:
    """Connect and ask for one quote of the heaviest stock. Raises SettingsError, UpstreamError."""
    check_client()
    from loaders.ib.service import live

    symbol = universe.groups(settings.ib, None)[0][0]
    with live.gateway(settings.ib) as gateway:
        found = gateway.probe(symbol)
        source = gateway.source()
    seconds = found.clock_difference.total_seconds()
    served, asked = WORDS[found.served_type], WORDS[found.requested_type]
    warnings = []
    if found.served_type is None:
        said = f": {found.failure.error_message}" if found.failure else ""
        warnings.append(f"no data of {symbol} came, {asked} data were asked for{said}")
    elif found.served_type != found.requested_type:
        warnings.append(f"{asked} data of {symbol} were asked for, {served} data came")
    if abs(found.clock_difference) > OFF and settings.ib.clock == "machine":
        warnings.append(
            f"the gateway's clock differs by {seconds:+.0f} s: slots go by this machine's"
        )
    place = f"{settings.ib.host}:{settings.ib.port}"
    return Checked(
        f"the gateway at {place} ({source}, version {found.server_version}) serves {served} data of "
        f"{symbol} to client {found.client_id}; its clock differs by {seconds:+.0f} s",
        tuple(warnings),
        {
            "source": source,
            "server_version": found.server_version,
            "client_id": found.client_id,
            "accounts": found.accounts,
            "symbol": symbol,
            "requested_type": found.requested_type,
            "served_type": found.served_type,
            "server_time": found.server_time,
            "clock_difference_s": seconds,
        },
    )
