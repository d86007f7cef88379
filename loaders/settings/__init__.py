"""Settings: flag > environment > .env > quotemill.toml > the home's files > default.

`sections.py` lists the sections, each a model beside the code it is about. `model.py` is the whole
of them, `files.py` finds the files, `environment.py` reads variables and .env, `merge.py` puts
everything together, `folders.py` refuses relative ones, `listing.py` shows them, `saving.py` writes
those of the home.
"""

from loaders.settings.merge import flatten, load_settings, read_environment_settings
from loaders.settings.model import Settings

__all__ = ["Settings", "flatten", "load_settings", "read_environment_settings"]
