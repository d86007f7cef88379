"""`quotemill manifest`."""

from pathlib import Path
from typing import Annotated

import typer

from loaders import loads
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from loaders.warehouse.postgres import require_current_warehouse
from orchestration.run import build as builds
from orchestration.run import build_record, manifest
from quotemill.errors import UsageError, most_severe

app = typer.Typer(help="Write and verify futures manifests.", no_args_is_help=True)


@app.command("write")
def write_command(json: JsonFlag = False) -> None:
    """Write a manifest of the current build.

    You need this only after plain `dbt build`, which writes none. If nothing has changed since the
    newest manifest, that one is printed. Fails if no futures are built or the newest build failed.

    Example: quotemill manifest write
    """
    settings = load_settings()
    warehouse = loads.prepare_warehouse(settings, builds.stderr)
    with build_record.build_lock(warehouse):
        build_id, status = build_record.newest_build(warehouse) or (0, "succeeded")
        if status != "succeeded":
            raise UsageError(
                f"the newest build ({build_id}) did not succeed, so tables may be incomplete",
                hint="Run `quotemill build`, which also writes a manifest.",
            )
        path = manifest.write_now(settings, warehouse, build_id)
    if path is None:
        raise UsageError(
            "no futures are built: only they have a manifest", hint="Run `quotemill run tq`."
        )
    shell.print_answer({"path": str(path)}, json, lambda: print(path))


@app.command("check")
def check_command(
    file: Annotated[
        Path | None,
        typer.Argument(help="Path or file name of a manifest.", show_default="the newest"),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Compare a manifest with the stored data, for the manifest's days.

    A file name without a folder is looked up in `manifests/<warehouse>/` in the home. Exits with 5
    if anything differs, and lists each difference.

    Example: quotemill manifest check build-00000012.json
    """
    settings = load_settings()
    warehouse = require_current_warehouse(settings)
    path = (
        manifest.locate(settings, warehouse, file) if file else manifest.newest(settings, warehouse)
    )
    checks = manifest.check(settings, warehouse, path)
    if json:
        document = {
            "path": str(path),
            "checks": [check.as_json() for check in checks],
            "sources": list(dict.fromkeys(c.name for c in checks if c.name != "previous")),
            "differences": [check.sentence for check in checks if check.verdict == "fail"],
        }
        shell.print_json(document)
    else:
        print(path)
        print_checks(checks)
    if code := most_severe(check.exit_code for check in checks):
        raise typer.Exit(code)
