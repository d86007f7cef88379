"""`python -m quotemill`: the command `quotemill`, in a folder with modules of any names."""

import sys
from importlib.metadata import distribution

if __name__ == "__main__":
    # Python puts the working directory first, whose modules may be called as ours
    if not sys.flags.safe_path:
        del sys.path[0]
    commands = distribution("quotemill").entry_points.select(group="console_scripts")
    commands["quotemill"].load()()
