"""Settings that cannot be read, told all the same: to the channels of the environment, else to those that the last
look had.
"""

from datetime import UTC, datetime

from loaders import log
from loaders.errors import SettingsError
from loaders.settings import Settings, load_settings, of_environment
from orchestration.alerts import channels
from orchestration.alerts.book import Cause
from orchestration.alerts.check import SETTINGS_FILE, by_file


def read_settings() -> Settings:
    """The settings of a command that runs unattended. Where they cannot be read that is told, and raised."""
    try:
        return load_settings()
    except SettingsError as error:
        _tell(error)
        raise


def _tell(error: SettingsError) -> None:
    settings = channels.or_remembered(of_environment())
    if not settings.alerts.urls:
        return
    # nor is it known how long files of the log are to be kept: none goes
    secrets = log.secrets_of(settings)
    log.start(settings.home / "logs", secrets, days=36_500, megabytes=1_000_000)
    text = f"the settings cannot be read: {error}" + (f" ({error.hint})" if error.hint else "")
    cause = Cause("error", text, "quotemill doctor")
    by_file(settings, {SETTINGS_FILE: cause}, datetime.now(UTC))
