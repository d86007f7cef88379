"""A page as tests of pages open it."""

import re

from tests.integration.console.conftest import Caller

NASTY = "<script>alert(1)</script>"


def open_page(caller: Caller, path: str) -> str:
    answer = caller.get(path)
    assert answer.status_code == 200, answer.text[:2000]
    assert answer.headers["content-type"].startswith("text/html")
    text = str(answer.text)
    assert not re.search(r"<script(?! src=)|\son\w+=|style=|javascript:", text), path
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text), path
    assert not re.search(r"<option[^>]*>\s*</option>", text), path  # a choice without a word
    return text
