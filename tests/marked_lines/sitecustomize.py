"""Marks what our code writes to stderr, in each Python process with this folder on its path.

What libraries, other programs and the interpreter write there stays unmarked.
"""

import sys
from typing import Any

OURS = ("loaders", "orchestration", "quotemill")
# they write what our code gives them
WRITERS = ("click", "contextlib", "logging", "rich", "typer")
BEGIN, END = "\x02", "\x03"


class _Marked:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        frame: Any = sys._getframe(1)
        while frame and _find_package(frame) in WRITERS:
            frame = frame.f_back
        is_ours = frame and _find_package(frame) in OURS
        self._stream.write(f"{BEGIN}{text}{END}" if is_ours else text)
        return len(text)


def _find_package(frame: Any) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _write_unraisable(unraisable: Any) -> None:
    """Write an ignored exception unmarked, though it was met in our code."""
    marked, sys.stderr = sys.stderr, sys.__stderr__
    try:
        sys.__unraisablehook__(unraisable)
    finally:
        sys.stderr = marked


sys.stderr = _Marked(sys.stderr)  # type: ignore[assignment]
sys.unraisablehook = _write_unraisable
