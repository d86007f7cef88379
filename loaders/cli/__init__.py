"""Load market data from sources, check it, and run simulated sources."""

import sys
from typing import NoReturn

from quotemill.installation import dbt_hint, has_commands

# this package is imported before any other of either command
if not has_commands():
    sys.stderr.write(f"error: this installation only reads\nfix: {dbt_hint('all')}\n")
    raise SystemExit(3)

from loaders.cli.lazy import lazy_app, run_app

app = lazy_app(
    __doc__,
    {
        "Common": {
            "run": "loaders.cli.load:run_command",
            "status": "loaders.cli.jobs:status_command",
            "retry": ("loaders.cli.load:retry_command", {"hidden": True}),
            "cancel": "loaders.cli.jobs:cancel_command",
        },
        "Inspect": {
            "check": "loaders.cli.check:check_command",
            "selftest": "loaders.cli.selftest:selftest_command",
            "verify": "loaders.cli.verify:verify_command",
        },
        "Sandbox": {"sandbox": "loaders.cli.sandbox:app"},
    },
    shows_version=True,
)


def main() -> NoReturn:
    run_app(app)
