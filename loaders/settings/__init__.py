"""Settings: flag > environment > .env > quotemill.toml > the home's files > default.

`quotemill.settings` finds and merges these, and has the settings outside of every section.
`sections.py` lists the sections, each a model beside the code it is about, `model.py` is the whole
of them, `listing.py` shows them, `saving.py` writes those of the home.
"""

from loaders.settings.load import load_settings, read_environment_settings
from loaders.settings.model import Settings
from quotemill.settings.merge import flatten

__all__ = ["Settings", "flatten", "load_settings", "read_environment_settings"]
