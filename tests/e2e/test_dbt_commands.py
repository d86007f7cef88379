"""Each command of dbt that a page shows is run as written, and does what dbt says it does."""

import re
import shutil
from collections.abc import Iterator

import pytest

from loaders.warehouse.profiles import is_ours
from tests.conftest import ROOT
from tests.e2e.terminal import checkout, run

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
GENERATED = ("docs/reference", "docs/site")
COMMAND = re.compile(
    r"(?:quotemill )?\bdbt (?:build|clean|clone|compile|debug|deps|docs|init|list|ls|parse|retry|"
    r"run|run-operation|seed|show|snapshot|source|test)\b[^\n;&|()#]*"
)
BUILT = r"Completed (successfully|with \d+ warnings)"
# what each prints, in the order in which they run: these before the first load …
UNLOADED = {
    "dbt parse": r"Performance info",
    "dbt ls --resource-type source": r"(?m)^source:quotemill\.raw_tdx\.kline_daily$",
    "dbt ls": r"(?m)^quotemill\.marts\.market\.kline_daily_qfq$",
}
# … and these after one
LOADED = {
    "dbt build": BUILT,
    "dbt test --select test_type:unit": r"Done\. PASS=\d{3} WARN=0 ERROR=0",
    "dbt test --select tag:whole_tables": r"Done\. PASS=\d+ WARN=0 ERROR=0",
    "dbt test --select tag:source_keys": r"Done\. PASS=\d+ WARN=0 ERROR=0",
    "dbt source freshness": r"ERROR STALE freshness of raw_tdx\.kline_daily",  # by today's date
    "dbt docs generate": r"Catalog written to",
    "dbt run-operation apply_hypertables": r"Registered adapter",
    "quotemill dbt run-operation apply_hypertables": r"Registered adapter",
    "quotemill dbt build -s kline_daily_qfq+": BUILT,
    "dbt build --profiles-dir ~/.dbt --target dev --select +kline_weekly_qfq": BUILT,
    "dbt build --select large_days": r"INSERT 0 0|MERGE 0",  # it has all rows by then
    "dbt retry": BUILT,
}


def shown_commands(text: str) -> Iterator[str]:
    """The commands of dbt in code of a page, each once."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for code in [*blocks, *(" ".join(span.split()) for span in spans)]:
        yield from (match.strip() for match in COMMAND.findall(code))


def test_every_command_of_dbt_on_a_page_is_run() -> None:
    shown = {
        command
        for page in PAGES
        if not str(page.relative_to(ROOT)).startswith(GENERATED)
        for command in shown_commands(page.read_text("utf-8"))
    }
    assert shown == {*UNLOADED, *LOADED}


def test_commands_are_read_from_blocks_and_from_text() -> None:
    text = "`cd x && dbt build`, `dbt test\n  -s a`, not `dbt.yml`\n```sh\n(dbt ls)  # all\n```\n"
    assert list(shown_commands(text)) == ["dbt ls", "dbt build", "dbt test -s a"]


@pytest.mark.long
def test_a_fresh_clone_parses_and_a_build_says_what_to_do() -> None:
    with checkout() as folder:
        shutil.copy(ROOT / "Makefile", folder)
        run(folder, "make dbt_project/profiles.yml")
        assert is_ours(folder / "dbt_project" / "profiles.yml")  # a load replaces it

        printed = {c: run(folder, f"cd dbt_project && {c}") for c in UNLOADED}
        assert {c: text for c, text in printed.items() if not re.search(UNLOADED[c], text)} == {}
        refusal = run(folder, "cd dbt_project && ! dbt build")
        assert "type make demo or quotemill run" in refusal
        assert not (folder / "user" / ".dbt").exists()
