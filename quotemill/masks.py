"""Addresses without their secrets: the one place that knows where a URL has them.

Rather too much is masked than a secret shown: libpq takes a ? or # in a password as it is.
"""

import re
from itertools import accumulate
from urllib.parse import quote, unquote

HIDDEN = "***"
_LOGIN = re.compile(r"://\S+@")  # to the last @: a password may have an @ or a /
_PASSWORD = re.compile(r"://[^/\s:@]*:(\S+)@")
_PARAMETER = re.compile(r"(?:^|[?&\s])password\s*=\s*(?:'([^']+)'|([^'&\s]+))")
_VALUE = re.compile(r"([?&][^=&\s]+=)[^&#\s]+")


def mask_logins(text: str, mask: str = "") -> str:
    """Replace user and password of each URL in a text; without a mask they are left out."""
    return _LOGIN.sub(lambda _: f"://{mask}@" if mask else "://", text)


def mask_values(text: str, mask: str) -> str:
    """Replace the values of the parameters of each URL: one of them may be a token."""
    return _VALUE.sub(lambda match: match[1] + mask, text) if "://" in text else text


def find_passwords(address: str) -> set[str]:
    """List the possible passwords in an address: as it is written there, and as it is sent."""
    match = _PASSWORD.search(address)
    written = set(accumulate(match[1].split("@"), "{}@{}".format)) if match else set()
    written |= {quoted or plain for quoted, plain in _PARAMETER.findall(address)}
    sent = {unquote(password) for password in written}
    return written | sent | {quote(password, safe="") for password in sent}
