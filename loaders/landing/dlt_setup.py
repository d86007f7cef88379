"""The settings of dlt while it lands our rows: ours, and no other.

dlt reads settings from a run context: the environment, files, the machine's secrets. Ours replaces
it while we land, so what somebody set for other pipelines does not reach ours, and the reverse.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime.run_context import RunContext

from quotemill.errors import QuotemillError

# by the name of the field alone: each is a field of one component
SETTINGS = {
    "dlthub_telemetry": "false",
    "log_level": "CRITICAL",
    # Ctrl-C is the command's business: the current package is landed to its end
    "intercept_signals": "false",
    "add_dlt_load_id": "true",
    "buffer_max_items": "50000",
    "next_item_mode": "fifo",
    "delete_completed_jobs": "true",  # a landed file is of no further use
}


class _Settings(ConfigProvider):
    """Our value of a field, else its default."""

    name = "quotemill"
    supports_secrets = True
    supports_sections = False

    def get_value(self, key: str, *_: Any) -> tuple[str | None, str]:
        return SETTINGS.get(key), key


class _Context(RunContext):
    """A run of dlt with our settings, whose files are all in one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._global_dir = str(folder)

    @property
    def data_dir(self) -> str:
        return self.global_dir

    def initial_providers(self) -> list[ConfigProvider]:
        return [_Settings()]


@contextlib.contextmanager
def own_context(folder: Path) -> Iterator[None]:
    """Give dlt our settings only, and `folder` for its files; then restore its own context."""
    with Container().injectable_context(PluggableRunContext(_Context(folder))):
        yield


@contextlib.contextmanager
def spool_errors(folder: Path) -> Iterator[None]:
    """Name the folder of fetched rows where its disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise QuotemillError(
            f"no room left for fetched rows in {folder}",
            hint="Free some space, or move everything with QUOTEMILL_HOME, then run "
            "again. Loaded rows are kept.",
        ) from error
