"""The `loaders` command: load sources, read the record of loads, try a sandbox.

Common workflows:

1. loaders check tdx            does the service answer?
2. loaders run tdx              load what is new
3. loaders status               what ran, what failed
4. loaders retry                load again what failed
5. loaders verify tdx           is what was loaded still there?
6. loaders selftest tdx         does every route of the service answer correctly?
"""

from typing import NoReturn

import typer

from loaders.cli import check, jobs, load, sandbox, selftest, shell, verify

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(load.run_command)
app.command("status")(jobs.status_command)
app.command("retry")(load.retry_command)
app.command("cancel")(jobs.cancel_command)
app.command("check")(check.check_command)
app.command("selftest")(selftest.selftest_command)
app.command("verify")(verify.verify_command)
app.add_typer(sandbox.app, name="sandbox", help="A stand-in for a source, to try everything with.")


def main() -> NoReturn:
    shell.run_app(app)
