"""The blocks of README, tutorial and how-tos as scripts, and those that no test runs, with why."""

import re
import textwrap
from dataclasses import dataclass

from tests.e2e.commands import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "tutorial.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
PSQL = "quotemill warehouse psql"
# (page, beginning of a block): of no scene, because …
NOT_RUN = {
    ("containers", "POSTGRES_PASSWORD="): "the content of a file; test_installed_package reads it",
    ("containers", "docker compose"): "needs Docker; the same commands run in other scenes",
    ("futures", "loaders run tq && "): "what `quotemill run tq` does at once; e2e/tq runs both",
    ("futures", "quotemill run tq"): "by today's clock; the sandbox's page runs it by its own",
    ("futures", "select ts"): "for QuestDB; tests/integration/ticks read such",
    ("questdb", "export QUOTEMILL_QUESTDB_URL"): "names a server; tests/integration/ticks have one",
    ("questdb", "drop"): "for QuestDB, after another warehouse; tests/integration/ticks do so",
    ("questdb", "select"): "for QuestDB; tests/integration/ticks read such",
    (
        "options",
        "loaders run ib --task snapshot",
    ): "moments of a session; test_option_commands captures two",
    ("archive", ""): "needs months of sessions, DuckDB; tests in e2e/archive have them",
    (
        "jobs",
        "quotemill jobs --follow",
    ): "needs a load that runs; test_jobs, test_cancel_and_retry have one",
    ("reconcile", ""): "takes minutes; tests/faults/tdx/test_reconcile compares every dataset",
    ("warehouse", "quotemill warehouse upgrade"): "needs TimescaleDB; test_upgrade_timescale",
    ("timescaledb", "create extension"): "needs TimescaleDB; tests/e2e/editions have it",
    ("timescaledb", "select hypertable_name"): "needs TimescaleDB; tests/e2e/editions have it",
    ("logs", "jq"): "needs jq, a run of that name and an error of today",
}


@dataclass(frozen=True)
class Block:
    """A block of a page: `page` is its name without suffix, `language` sh or sql."""

    page: str
    language: str
    body: str

    @property
    def script(self) -> str:
        """Commands that end a script which stops at its first failure."""
        if self.language == "sh":
            return self.body
        return f"{PSQL} -v ON_ERROR_STOP=1 <<'SQL'\n{self.body}\n;\nSQL\n"


def read_blocks() -> list[Block]:
    """Every block for a shell or for SQL; SQL below a bare psql is its input."""
    blocks: list[Block] = []
    for page in PAGES:
        fences = re.findall(
            r"^ *```(sh|sql)\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        for language, text in fences:
            block = Block(page.stem, language, textwrap.dedent(text))
            if language == "sql" and blocks and blocks[-1].body.strip() == PSQL:
                block = Block(page.stem, "sh", Block(page.stem, "sql", block.body).script)
                blocks.pop()
            blocks.append(block)
    return blocks


def find(page: str, beginning: str) -> Block:
    """The first block of a page that begins so."""
    return next(b for b in read_blocks() if b.page == page and b.body.startswith(beginning))


def join(*scene: tuple[str, str]) -> str:
    """One script of the blocks of a scene."""
    return "".join(find(*name).script for name in scene)
