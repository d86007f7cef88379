"""Load market data, build tables, check their quality and maintain the warehouse."""

from typing import NoReturn

from loaders.cli.lazy import lazy_app, run_app

# dbt reads the options of its commands, `--help` included
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_HIDDEN = {"hidden": True}

app = lazy_app(
    __doc__,
    {
        "Common": {
            "run": "orchestration.cli.run:run_command",
            "load": "orchestration.cli.load:load_command",
            "retry": "orchestration.cli.load:retry_command",
            "build": "orchestration.cli.build:build_command",
            "dbt": ("orchestration.cli.build:dbt_command", {"context_settings": _PASSED_ON}),
            "status": "orchestration.cli.inspect:status_command",
            "findings": "orchestration.cli.inspect:findings_command",
            "doctor": "orchestration.cli.inspect:doctor_command",
            "schedule": "orchestration.cli.schedule:app",
            "console": "orchestration.cli.console:console_command",
        },
        "Inspect": {
            "loads": "orchestration.cli.loads:loads_command",
            # the older name
            "jobs": (
                "orchestration.cli.loads:loads_command",
                {"same_as": "quotemill loads", **_HIDDEN},
            ),
            "report": "orchestration.cli.report:report_command",
            "reconcile": "orchestration.cli.reconcile:reconcile_command",
            "selfcheck": "orchestration.cli.options.checks:selfcheck_command",
            "logscan": "orchestration.cli.logscan:logscan_command",
            "alerts": "orchestration.cli.alerts:app",
            "cancel": (
                "loaders.cli.jobs:cancel_command",
                {"same_as": "loaders cancel", **_HIDDEN},
            ),
        },
        "Read and export": {
            "export": "orchestration.cli.export:app",
            "docs": "orchestration.cli.build:docs_command",
            "manifest": "orchestration.cli.manifest:app",
        },
        "Warehouse and settings": {
            "init": "orchestration.cli.settings:init_command",
            "settings": "orchestration.cli.settings:settings_command",
            "warehouse": "orchestration.cli.warehouse:app",
            "backup": "orchestration.cli.backup:app",
            "questdb": "orchestration.cli.questdb:app",
            "touch": "orchestration.cli.touch:touch_command",
        },
        "Options and futures": {
            "gate": "orchestration.cli.options.gate:app",
            # the words of older runbooks; its help is the table of them
            "options": ("orchestration.cli.options:app", _HIDDEN),
            "archive": "orchestration.cli.archive:archive_command",
            "retention": "orchestration.cli.archive:retention_command",
            "restore": "orchestration.cli.archive:restore_command",
        },
        "Sandbox": {"demo": "orchestration.cli.run:demo_command"},
    },
    shows_version=True,
)


def main() -> NoReturn:
    run_app(app)
