"""Takes what Windows lacks from our code, in each Python process with this folder on its path.

Libraries keep it, as they have ways of their own on Windows; `sys.platform` and `os.name` stay, by
which they and the standard library choose theirs.
"""

import builtins
import importlib
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

from windows_lacks import MODULES, NAMES

OURS = ("loaders", "orchestration", "quotemill")


def _is_ours(name: object) -> bool:
    return str(name).partition(".")[0] in OURS


def _hide_modules() -> None:
    load = builtins.__import__

    def load_checked(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        if name in MODULES and _is_ours((globals or {}).get("__name__")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name, globals, locals, fromlist, level)

    builtins.__import__ = load_checked


def _hide_names(module: types.ModuleType, names: list[str]) -> None:
    class Partial(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            if name in names and _is_ours(sys._getframe(1).f_globals.get("__name__")):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return super().__getattribute__(name)

    module.__class__ = Partial


def _is_open(path: Any) -> bool:
    """Whether this process has a file open."""
    wanted = os.path.realpath(path)
    for opened in Path("/proc/self/fd").iterdir():
        try:
            if os.path.realpath(opened) == wanted and opened.is_file():
                return True
        except OSError:  # closed meanwhile
            continue
    return False


def _guard_files() -> None:
    """No folder is opened, no file moved or deleted while it is open, none renamed over another."""
    open_file, fsync = os.open, os.fsync
    read_only: set[int] = set()

    def open_checked(path: Any, flags: int, *others: Any, **options: Any) -> int:
        # `shutil.rmtree` opens folders where it can
        if "dir_fd" not in options and Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        opened = open_file(path, flags, *others, **options)
        may_write = flags & (os.O_WRONLY | os.O_RDWR)
        (read_only.discard if may_write else read_only.add)(opened)
        return opened

    def fsync_checked(opened: int) -> None:
        if opened in read_only:
            raise OSError(9, "Bad file descriptor")
        fsync(opened)

    def guard(call: Any, *, keeps_target: bool = False) -> Any:
        def act(path: Any, *others: Any, **options: Any) -> None:
            for place in () if "dir_fd" in options else (path, *others[:1]):
                if _is_open(place):
                    raise PermissionError(13, "used by another process", str(place))
            if keeps_target and Path(others[0]).exists():
                raise FileExistsError(17, "File exists", str(others[0]))
            call(path, *others, **options)

        return act

    os.open, os.fsync = open_checked, fsync_checked
    os.unlink = os.remove = guard(os.unlink)
    os.replace, os.rename = guard(os.replace), guard(os.rename, keeps_target=True)
    tempfile.TemporaryFile = tempfile.NamedTemporaryFile  # type: ignore[assignment,misc]


def _guard_processes() -> None:
    """No process is started with what Windows cannot give it."""
    start = subprocess.Popen.__init__

    def start_checked(self: Any, *arguments: Any, **options: Any) -> None:
        for name in ("preexec_fn", "pass_fds", "user", "group", "extra_groups"):
            if options.get(name):
                raise ValueError(f"{name} is not supported on Windows platforms")
        start(self, *arguments, **options)

    subprocess.Popen.__init__ = start_checked  # type: ignore[method-assign]


_hide_modules()
for name, names in NAMES.items():
    _hide_names(importlib.import_module(name), names.split())
_guard_files()
_guard_processes()
