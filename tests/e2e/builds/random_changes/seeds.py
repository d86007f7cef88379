"""Random changes of the seeds that users edit."""

from tests.e2e.builds.random_changes.market import CHANGED, CODES, DAYS, NEW_CODE, OLD_CODE
from tests.e2e.builds.random_changes.options import SESSIONS
from tests.e2e.builds.random_changes.source import SourceChanges
from tests.integration.dbt import raw


class SeedChanges(SourceChanges):
    """Changes of the tables of seeds; those of universe.csv are a setting (options.py)."""

    def _rewrite_seed(self, seed: str, line: str) -> None:
        """Leave one line of the seed, or none."""
        self.conn.execute(f"delete from quotemill_intermediate.{seed}".encode())
        if self.random.random() < 0.6:
            raw.add_line(self.conn, seed, line)

    def override_action(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        action = self.random.choice(("add", "remove", "replace"))
        self._rewrite_seed("corporate_action_overrides", f"{code},{day},{action},1,2,,,,,by chance")

    def split_underlying(self) -> None:
        day = self.random.choice(SESSIONS).day
        self._rewrite_seed("us_corporate_actions", f"BRK B,{day},split,2,1,by chance")

    def change_code(self) -> None:
        day = self.random.choice((CHANGED, DAYS[3]))
        self._rewrite_seed("code_changes_known", f"{OLD_CODE},{NEW_CODE},{day},by chance")

    def change_limits(self) -> None:
        percent = self.random.choice((5, 10, 20))
        board, free = self.random.choice(("main", "chinext", "beijing")), self.random.choice((1, 5))
        self._rewrite_seed("price_limits", f"{board},2000-01-01,{percent},5,{free},by chance")
