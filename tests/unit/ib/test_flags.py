"""A flag that the loader sets is on the closed list that the models know."""

import re
from pathlib import Path

from loaders.ib.capture.flags import CAPTURE_FLAGS

LIST = Path(__file__).parents[3] / "macros" / "options" / "flags_with.sql"


def test_every_flag_of_a_capture_is_one_that_models_know() -> None:
    known = re.findall(r"'(\w+)'", LIST.read_text("utf-8").partition("macro known_flags()")[2])
    assert known == sorted(set(known))
    assert set(CAPTURE_FLAGS) <= set(known)
