"""The library of charts is the file that its page names, and comes with its licence."""

import hashlib
import re
from pathlib import Path

from orchestration import report

FOLDER = Path(report.__file__).parent / "charts"


def test_the_library_is_as_released_and_has_its_licence() -> None:
    library = (FOLDER / "lightweight-charts.js").read_bytes()
    page = (FOLDER / "README.md").read_text("utf-8")
    assert re.findall(r"^sha256 (\w+)$", page, re.MULTILINE) == [
        hashlib.sha256(library).hexdigest()
    ]
    [version] = re.findall(r"Lightweight Charts™ v([\d.]+)", library[:200].decode())
    assert page.startswith(f"# lightweight-charts {version}\n")
    assert "Apache License" in (FOLDER / "LICENSE").read_text("utf-8")
