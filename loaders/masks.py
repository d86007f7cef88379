"""Addresses without their secrets: the one place that knows where a URL has them."""

import re

_LOGIN = re.compile(r"://([^/\s]+)@")  # a password may have an @
_PASSWORD = re.compile(r"://[^/\s?#:]*:([^/\s?#]+)@")
_VALUE = re.compile(r"([?&][^=&\s]+=)[^&#\s]+")


def mask_logins(text: str, mask: str = "") -> str:
    """Replace user and password of each URL in a text; without a mask they are left out."""
    return _LOGIN.sub(lambda _: f"://{mask}@" if mask else "://", text)


def mask_values(text: str, mask: str) -> str:
    """Replace the values of the parameters of each URL: one of them may be a token."""
    return _VALUE.sub(lambda match: match[1] + mask, text) if "://" in text else text


def find_password(url: str) -> str:
    """The password in a URL as it is written there; empty without one."""
    match = _PASSWORD.search(url)
    return match[1] if match else ""
