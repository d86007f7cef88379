"""An environment for somebody else's package, made at first need."""

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

# what packages read while they are imported, have not in them, and use in no save
ABSENT = {"talib.py": "", "zvt/config.json": '{"em_header": null}'}


def environment(folder: Path, packages: Sequence[str], needs: Sequence[str]) -> Path:
    """Its python: `packages` without what they ask for, and `needs`, which a save takes."""
    python = folder.absolute() / "bin" / "python"
    done = folder / ".installed"
    wanted = " ".join((*packages, *needs))
    if not done.exists() or done.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)  # whatever a killed run left of it
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", *packages], check=True, stdout=sys.stderr)
        subprocess.run([*pip, *needs], check=True, stdout=sys.stderr)
        place = next(folder.glob("lib/python*/site-packages"))
        for name, text in ABSENT.items():
            if (place / name).parent.is_dir():
                (place / name).write_text(text)
        done.write_text(wanted)
    return python
