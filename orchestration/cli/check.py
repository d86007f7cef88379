"""`quotemill check`: the checks of both command lines, which keep their own names too."""

from loaders.cli.lazy import lazy_app

app = lazy_app(
    "All checks in one place: settings, sources, data, logs, files.",
    {
        "Before a load": {
            "doctor": (
                "orchestration.cli.inspect:doctor_command",
                {"same_as": "quotemill doctor"},
            ),
            "source": ("loaders.cli.check:check_command", {"same_as": "loaders check"}),
            "selftest": ("loaders.cli.selftest:selftest_command", {"same_as": "loaders selftest"}),
        },
        "After a load": {
            "verify": ("loaders.cli.verify:verify_command", {"same_as": "loaders verify"}),
            "reconcile": (
                "orchestration.cli.reconcile:reconcile_command",
                {"same_as": "quotemill reconcile"},
            ),
            "logscan": (
                "orchestration.cli.logscan:logscan_command",
                {"same_as": "quotemill logscan"},
            ),
            "manifest": (
                "orchestration.cli.manifest:check_command",
                {"same_as": "quotemill manifest check"},
            ),
            "backup": (
                "orchestration.cli.backup:check_command",
                {"same_as": "quotemill backup check"},
            ),
        },
        "Option chains": {
            "selfcheck": (
                "orchestration.cli.options.checks:selfcheck_command",
                {"same_as": "quotemill selfcheck"},
            ),
            "gate": (
                "orchestration.cli.options.gate:list_command",
                {"same_as": "quotemill gate list"},
            ),
        },
    },
)
