"""`quotemill schedule`: which jobs there are, when they start, starting them."""

import typer

from orchestration.cli.schedule import install, preview, start

app = typer.Typer(
    no_args_is_help=True, help="Jobs by the clock: which there are, when they start, starting them."
)
app.command("list")(preview.list_command)
app.command("next")(preview.next_command)
app.command("simulate")(preview.simulate_command)
app.command("run")(start.run_command)
app.command("enable")(start.enable_command)
app.command("disable")(start.disable_command)
app.command("install")(install.install_command)
app.command("serve")(start.serve_command)
