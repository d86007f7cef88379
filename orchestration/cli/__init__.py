"""The `quotemill` command: load and build, see the state of everything, maintain the warehouse.

Common workflows:

1. quotemill demo               everything once, on a simulated market
2. quotemill run                load what is new and build it
3. quotemill status             what ran, is stale or failed, and its fix
4. quotemill findings           what is wrong with the data, and since when
5. quotemill report             all of it as one page of HTML
6. quotemill doctor             check settings, warehouse, service, disk
7. quotemill dbt build -s X+    any dbt command with the right settings
8. quotemill schedule install   run all of it on a schedule
"""

from typing import NoReturn

from loaders.cli.lazy import lazy_app

# dbt reads the options of its commands, `--help` included
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = lazy_app(
    __doc__,
    {
        "run": "orchestration.cli.run:run_command",
        "load": "orchestration.cli.load:load_command",
        "demo": "orchestration.cli.run:demo_command",
        "build": "orchestration.cli.build:build_command",
        "dbt": ("orchestration.cli.build:dbt_command", {"context_settings": _PASSED_ON}),
        "settings": "orchestration.cli.settings:settings_command",
        "init": "orchestration.cli.settings:init_command",
        "touch": "orchestration.cli.touch:touch_command",
        "docs": "orchestration.cli.build:docs_command",
        "status": "orchestration.cli.inspect:status_command",
        "jobs": "orchestration.cli.jobs:jobs_command",
        "retry": "orchestration.cli.load:retry_command",
        # the same command; the help of `loaders` has it
        "cancel": ("loaders.cli.jobs:cancel_command", {"hidden": True}),
        "findings": "orchestration.cli.inspect:findings_command",
        "report": "orchestration.cli.report:report_command",
        "console": "orchestration.cli.console:console_command",
        "doctor": "orchestration.cli.inspect:doctor_command",
        "reconcile": "orchestration.cli.reconcile:reconcile_command",
        "selfcheck": "orchestration.cli.options.checks:selfcheck_command",
        "logscan": "orchestration.cli.logscan:logscan_command",
        "archive": "orchestration.cli.archive:archive_command",
        "retention": "orchestration.cli.archive:retention_command",
        "restore": "orchestration.cli.archive:restore_command",
        "export": "orchestration.cli.export:app",
        "schedule": "orchestration.cli.schedule:app",
        "alerts": "orchestration.cli.alerts:app",
        "warehouse": "orchestration.cli.warehouse:app",
        "backup": "orchestration.cli.backup:app",
        "questdb": "orchestration.cli.questdb:app",
        "ticks": "orchestration.cli.ticks:app",
        "manifest": "orchestration.cli.manifest:app",
        "options": "orchestration.cli.options:app",
        # the same; the help of `options` has it
        "gate": ("orchestration.cli.options.gate:app", {"hidden": True}),
    },
    shows_version=True,
)


def main() -> NoReturn:
    from loaders.cli import shell

    shell.run_app(app)
