"""Codes of contracts: those of the servers, and ours.

Zhengzhou (CZCE) writes one digit of the delivery year, so a code comes back after ten years. Ours
have two, as those of the other exchanges: CZCE.SR1601 is of 2016, and CZCE.SR2601 of 2026.
"""

import re
from datetime import date

_SERVERS = re.compile(r"(CZCE\.[A-Za-z_]+)(\d)(\d\d)")
_OURS = re.compile(r"(CZCE\.[A-Za-z_]+)\d(\d{3})")


def own_code(code: str, day: date) -> str:
    """Our code of the contract that traded on a day, by the servers' code.

    It is delivered in that month or later, and less than ten years later.
    """
    match = _SERVERS.fullmatch(code)
    if match is None:
        return code
    product, digit, month = match.groups()
    year = day.year + (int(digit) - day.year) % 10
    if (year, int(month)) < (day.year, day.month):
        year += 10
    return f"{product}{year % 100:02d}{month}"


def server_code(contract: str) -> str:
    """The servers' code of a contract of ours."""
    match = _OURS.fullmatch(contract)
    return "".join(match.groups()) if match else contract
