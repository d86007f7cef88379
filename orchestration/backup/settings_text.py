"""The settings that differ from defaults, as a settings file without secrets."""

from loaders import log
from loaders.settings import Settings
from loaders.settings.listing import HIDDEN, list_settings
from loaders.settings.saving import change_toml


def without_secrets(settings: Settings) -> tuple[str, list[str]]:
    """Everything that is set, in TOML, and the names of the secrets, which are left out."""
    rows = sorted((r for r in list_settings(settings) if r.is_set), key=lambda r: r.name)
    # a text that holds a password, such as a URL, is one too
    secret = [row.name for row in rows if row.is_secret or HIDDEN in str(row.value)]
    head = "# Settings when the backup was created. Set the secrets again.\n" + "".join(
        f"# {name}: a secret, from {log.scrub(settings.origin(name))}\n" for name in secret
    )
    return change_toml(head, {r.name: r.value for r in rows if r.name not in secret}), secret
