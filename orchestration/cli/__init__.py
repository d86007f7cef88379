"""The `quotemill` command: load and build, see the state of everything, maintain the warehouse.

Common workflows:

1. quotemill demo               everything once, on a simulated market
2. quotemill run                load what is new and build it
3. quotemill status             what ran, how fresh the data are, what failed and its fix
4. quotemill findings           what is wrong with the data, and since when
5. quotemill report             all of it as one page of HTML
6. quotemill doctor             check settings, warehouse, service, disk, clock
7. quotemill dbt build -s X+    any dbt command with the right settings
8. quotemill schedule install   run all of it on a schedule
"""

from typing import NoReturn

import typer

from loaders.cli import jobs as load_jobs
from loaders.cli import shell
from orchestration.cli import (
    alerts,
    archive,
    backup,
    build,
    inspect,
    jobs,
    logscan,
    manifest,
    options,
    questdb,
    reconcile,
    report,
    retry,
    run,
    schedule,
    touch,
    warehouse,
)

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run_command)
app.command("demo")(run.demo_command)
app.command("build")(build.build_command)
app.command(
    "dbt",
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
)(build.dbt_command)
app.command("touch")(touch.touch_command)
app.command("docs")(build.docs_command)
app.command("status")(inspect.status_command)
app.command("jobs")(jobs.jobs_command)
app.command("retry")(retry.retry_command)
app.command("cancel")(load_jobs.cancel_command)
app.command("findings")(inspect.findings_command)
app.command("report")(report.report_command)
app.command("doctor")(inspect.doctor_command)
app.command("reconcile")(reconcile.reconcile_command)
app.command("selfcheck")(options.selfcheck_command)
app.command("logscan")(logscan.logscan_command)
app.command("archive")(archive.archive_command)
app.command("retention")(archive.retention_command)
app.command("restore")(archive.restore_command)
app.add_typer(schedule.app, name="schedule")
app.add_typer(alerts.app, name="alerts")
app.add_typer(warehouse.app, name="warehouse")
app.add_typer(backup.app, name="backup")
app.add_typer(questdb.app, name="questdb")
app.add_typer(manifest.app, name="manifest")
app.add_typer(options.app, name="gate")


def main() -> NoReturn:
    shell.run_app(app)
