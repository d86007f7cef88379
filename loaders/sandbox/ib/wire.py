"""The wire: four bytes of length, then fields that end in NUL; message texts."""

import asyncio
import struct
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from loaders.sandbox.ib.world import Query

SERVER_VERSION = 176
LARGEST = "1.7976931348623157E308"  # an unset double
MESSAGES = {
    100: "Max rate of messages per second has been exceeded:max=50",
    101: "Max number of tickers has been reached",
    162: "Historical Market Data Service error message:Historical data request pacing violation",
    200: "No security definition has been found for the request",
    321: (
        "Error validating request: "
        "Snapshot market data subscription is not applicable to generic ticks"
    ),
    326: "Unable to connect as the client id is already in use. Retry with a unique client id.",
    354: "Requested market data is not subscribed. Delayed market data is available.",
    420: "Invalid real-time query:No market data permissions",
    10089: (
        "Requested market data requires additional subscription for API. "
        "Delayed market data is available."
    ),
    10090: (
        "Part of requested market data is not subscribed. "
        "Subscription-independent ticks are still active."
    ),
    10091: "Part of requested market data requires additional subscription for API.",
    10167: "Requested market data is not subscribed. Displaying delayed market data.",
    10168: "Requested market data is not subscribed. Delayed market data is not enabled.",
    10186: "Requested market data is not subscribed. Delayed market data is not enabled.",
    10197: "No market data during competing live session",
    1100: "Connectivity between IB and Trader Workstation has been lost.",
    1101: "Connectivity between IB and Trader Workstation has been restored- data lost.",
    1102: (
        "Connectivity between IB and Trader Workstation has been restored- data maintained. "
        "All data farms are connected: usfarm; usopt; ushmds; secdefil."
    ),
    2103: "Market data farm connection is broken:usopt",
    2104: "Market data farm connection is OK:usopt",
    2105: "HMDS data farm connection is broken:ushmds",
    2106: "HMDS data farm connection is OK:ushmds",
    2110: (
        "Connectivity between Trader Workstation and server is broken. "
        "It will be restored automatically."
    ),
    2107: "HMDS data farm connection is inactive but should be available upon demand.ushmds",
    2108: "Market data farm connection is inactive but should be available upon demand.usopt",
    2157: "Sec-def data farm connection is broken:secdefnj",
    2158: "Sec-def data farm connection is OK:secdefnj",
}
AMBIGUOUS = "The contract description specified is ambiguous"
NO_DAILY_BARS = "Historical Market Data Service error message:No data of type EODChart is available"
NO_ADJUSTED_BARS = (
    "Error validating request.-'bd' : cause - End Date not supported with adjusted last"
)
READ_ONLY = "Error validating request: The API is in Read-Only mode."
# messages of a client by number, for readers of the log
REQUESTS = {
    1: "reqMktData",
    2: "cancelMktData",
    3: "placeOrder",
    5: "reqOpenOrders",
    6: "reqAccountUpdates",
    7: "reqExecutions",
    8: "reqIds",
    9: "reqContractDetails",
    15: "reqAutoOpenOrders",
    16: "reqAllOpenOrders",
    17: "reqManagedAccts",
    20: "reqHistoricalData",
    25: "cancelHistoricalData",
    49: "reqCurrentTime",
    59: "reqMarketDataType",
    61: "reqPositions",
    62: "reqAccountSummary",
    63: "cancelAccountSummary",
    64: "cancelPositions",
    71: "startApi",
    76: "reqAccountUpdatesMulti",
    78: "reqSecDefOptParams",
    99: "reqCompletedOrders",
    104: "reqUserInfo",
}
Field = str | int | float | bool | None


def in_zone(at: datetime, zone: ZoneInfo) -> str:
    """A time as the gateway writes it for a log-in in a zone."""
    return f"{at.astimezone(zone):%Y%m%d %H:%M:%S} {zone.key}"


def frame(fields: Sequence[Field]) -> bytes:
    body = "".join(f"{_text(field)}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


def _text(value: Field) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return repr(round(value, 10)) if isinstance(value, float) else str(value)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    size = struct.unpack(">I", await reader.readexactly(4))[0]
    return await reader.readexactly(size)


async def read_fields(reader: asyncio.StreamReader) -> list[str]:
    return (await read_frame(reader)).decode().split("\0")[:-1]


def query_at(fields: Sequence[str], at: int) -> Query:
    """Read the contract within a message: twelve fields from `at` on."""
    names = "conid symbol kind expiry strike right multiplier exchange primary currency local class"
    given = dict(zip(names.split(), fields[at : at + 12], strict=True))
    return Query(
        conid=int(given["conid"] or 0),
        symbol=given["symbol"],
        kind=given["kind"],
        expiry=given["expiry"],
        strike=float(given["strike"] or 0),
        right=given["right"],
        exchange=given["exchange"],
        primary=given["primary"],
        currency=given["currency"],
        trading_class=given["class"],
    )
