"""An address in an error, the log or a list of settings shows no user and no password."""

import pytest

from loaders import log
from loaders.settings.listing import mask
from quotemill import masks
from quotemill.errors import innermost

CASES = {
    "postgresql://me:word@db:5432/m": "postgresql://{}db:5432/m",
    "postgresql://me:wo@rd@db/m": "postgresql://{}db/m",
    "http://me@tdx:8080/api": "http://{}tdx:8080/api",
    "no answer of http://a:b@x/1, then http://c:d@y/2": "no answer of http://{}x/1, then http://{}y/2",
    "mailto://me:word@mail?to=you@x": "mailto://{}x",
    "postgresql://u:pass?w#rd@h/db": "postgresql://{}h/db",
    "http://u:se/cret@host": "http://{}host",
    "http://u:p'a\"s@s/w@host/x": "http://{}host/x",
    "http://tdx:8080/a@b": "http://{}b",  # it could be a password with a /
    "me@example.com wrote 1 // 2": "me@example.com wrote 1 // 2",
}


@pytest.mark.parametrize(("text", "masked"), CASES.items())
def test_a_login_in_an_address_is_shown_nowhere(text: str, masked: str) -> None:
    assert innermost(ValueError(text)) == f"ValueError: {masked.replace('{}', '')}"
    assert log.scrub(text) == masked.replace("{}", "***@")
    assert mask(text) == masked.replace("{}", "**********@")


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("http://x/y?key=4711&day=1#top", "http://x/y?key=***&day=***#top"),
        ("a=1?b=2", "a=1?b=2"),
        ("/srv/client", "/srv/client"),
    ],
)
def test_the_parameters_of_an_address_are_masked(value: str, masked: str) -> None:
    assert masks.mask_values(value, "***") == masked
    assert mask([value]) == [masked.replace("***", "**********")]


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("postgresql://me:word@db/m", "word"),
        ("postgresql://me:wo@rd@db/m", "wo@rd"),
        ("postgresql://u:pass?w#rd@h/db", "pass?w#rd"),
        ("postgresql://u:pass%3Fw@h/db", "pass?w"),
        ("postgresql://u:pass%3Fw@h/db", "pass%3Fw"),
        ("postgresql://h/db?user=u&password=pass%23w", "pass#w"),
        ("host=h password='pass w'", "pass w"),
        ("http://u:se/cret@host", "se/cret"),
        ("mailto://me:word@mail?to=you@x", "word"),
    ],
)
def test_the_password_of_an_address_is_found_as_written_and_as_sent(
    address: str, password: str
) -> None:
    assert password in masks.find_passwords(address)


@pytest.mark.parametrize(
    "address",
    ["postgresql://me@db/m", "postgresql://db/m?sslmode=require", "http://db/a:b@c", "a token"],
)
def test_an_address_without_a_password_has_none(address: str) -> None:
    assert masks.find_passwords(address) == set()
