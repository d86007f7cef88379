"""The kind of system this runs on. Windows reads, loads and builds; parts of ours need POSIX."""

import os

from quotemill.errors import SettingsError

IS_POSIX = hasattr(os, "fork")


def require_posix(part: str, otherwise: str) -> None:
    """Raises SettingsError, with the two ways out, where the system lacks what a part needs."""
    if not IS_POSIX:
        raise SettingsError(
            f"{part} needs Linux or macOS",
            hint=f"Run quotemill in WSL2, where C:\\new_tdx is /mnt/c/new_tdx, or {otherwise}.",
        )


def is_root() -> bool:
    return IS_POSIX and os.geteuid() == 0
