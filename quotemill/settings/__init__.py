"""Settings: flag > environment > .env > quotemill.toml > the home's files > default.

`files.py` finds the files, `environment.py` reads variables and .env, `merge.py` puts everything
together, `folders.py` refuses relative ones, `model.py` has the settings outside of every section.
Sections are of who needs them: readers need none, and ignore them.
"""

from quotemill.settings.load import load_settings
from quotemill.settings.model import TopSettings

__all__ = ["TopSettings", "load_settings"]
