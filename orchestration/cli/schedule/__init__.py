"""`quotemill schedule`: which jobs there are, when they start, starting them."""

from loaders.cli.lazy import lazy_app

app = lazy_app(
    "Manage scheduled jobs.",
    {
        "Inspect": {
            "list": "orchestration.cli.schedule.preview:list_command",
            "simulate": "orchestration.cli.schedule.preview:simulate_command",
        },
        "Run": {
            "run": "orchestration.cli.schedule.start:run_command",
            "enable": "orchestration.cli.schedule.start:enable_command",
            "disable": "orchestration.cli.schedule.start:disable_command",
            "install": "orchestration.cli.schedule.install:install_command",
            "uninstall": "orchestration.cli.schedule.install:uninstall_command",
            "serve": "orchestration.cli.schedule.start:serve_command",
        },
    },
)
