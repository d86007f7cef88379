"""A Chinese page is Chinese wholly, an English one English alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.commands import Place
from tests.e2e.console.conftest import AS_OF, Server
from tests.languages import check_languages

Start = Callable[..., Server]


def test_each_page_of_a_new_home_is_in_one_language(tmp_path: Path, start_console: Start) -> None:
    place = Place(tmp_path, tmp_path / "home")
    client = start_console(place, "--port", "0", "--as-of", AS_OF).client
    check_languages(client)
    # what a page is answered
    client.get("/", params={"lang": "zh"})
    page = client.get("/sign-in").text.split('name="quotemill-page" content="')[1].split('"')[0]
    own = {"origin": str(client.base_url).rstrip("/"), "x-quotemill-page": page}
    wrong = client.put("/api/settings", json={"values": {"tdx.tick_days": 0}}, headers=own).json()
    assert wrong["error"] == "设置 `tdx.tick_days`：应为整数，单位：天数，不小于 1"
    assert wrong["hint"] == "请另填一个值，或更正所指出的内容；未写入任何内容"


@pytest.mark.soak
def test_each_page_over_late_data_and_failed_loads_is_in_one_language(
    failed_place: Place, start_console: Start
) -> None:
    client = start_console(failed_place, "--port", "0", "--as-of", "2025-07-20T18:00").client
    check_languages(client)
