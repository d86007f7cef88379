"""The pictures in the docs are small, shown, and of pages that exist."""

import re

import pytest

from tests import pictures
from tests.conftest import ROOT
from tests.integration.console.conftest import Open

SHOWN = {"en": ("README.md", "docs/index.md"), "zh": ("README.zh-CN.md",)}


@pytest.mark.parametrize("language", pictures.LANGUAGES)
def test_each_picture_is_small_and_shown(language: str) -> None:
    files = {
        pictures.name_file(page, language, scheme)
        for page in pictures.PAGES
        for scheme in pictures.SCHEMES
    }
    assert max(path.stat().st_size for path in files) < 120_000
    for name in SHOWN[language]:
        page = ROOT / name
        links = re.findall(r'(?:src|srcset)="([^"]+)"', page.read_text("utf-8"))
        assert {(page.parent / link).resolve() for link in links} == files


def test_each_page_of_a_picture_exists(open_console: Open, prepared_dsn: str) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    statuses = {path: caller.get(path).status_code for path in pictures.PAGES.values()}
    assert set(statuses.values()) == {200}, statuses
