"""Flags of the loader are on the closed list of the models."""

import re
from pathlib import Path

from loaders.ib.capture.flags import CAPTURE_FLAGS

LIST = Path(__file__).parents[3] / "macros" / "options" / "merged_flags.sql"


def test_the_models_know_every_flag_of_a_capture() -> None:
    known = re.findall(r"'(\w+)'", LIST.read_text("utf-8").partition("macro known_flags()")[2])
    assert known == sorted(set(known))
    assert set(CAPTURE_FLAGS) <= set(known)
