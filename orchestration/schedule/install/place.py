"""Where scheduled commands run: working directory, program, logs, environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loaders.settings import Settings
from orchestration.schedule.runner import executable
from quotemill.errors import SettingsError

MARK = "Written by `quotemill schedule install`"


@dataclass(frozen=True)
class Place:
    """Where and how scheduled commands run.

    environment: variables that name files and folders, never secrets
    left_out:    settings from this shell's environment, which no service has
    """

    folder: Path
    program: Path
    logs: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def log(self, name: str) -> Path:
        return self.logs / f"schedule-{name}.log"


def find(settings: Settings, cwd: Path | None = None) -> Place:
    """The place of this call. Raises SettingsError for a path that timer files cannot hold."""
    folder = (cwd or Path.cwd()).absolute()
    environment = {"QUOTEMILL_HOME": str(settings.home)}
    if config := os.environ.get("QUOTEMILL_CONFIG"):
        environment["QUOTEMILL_CONFIG"] = str((folder / config).absolute())
    origins = (origin for name, origin in settings.origins.items() if name != "home")
    left_out = sorted({o.split()[-1] for o in origins if o.startswith("environment ")})
    place = Place(
        folder, executable("quotemill"), settings.home / "logs", environment, tuple(left_out)
    )
    for path in (place.folder, place.program, place.logs, *environment.values()):
        if re.search(r"[\x00-\x1f\x7f]", str(path)):
            raise SettingsError(f"{str(path)!r} has characters that timer files cannot hold")
    return place
