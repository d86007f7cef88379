"""Importing our packages changes nothing in the process that imports them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import loaders
import orchestration

# what our modules import of both, also within functions
IMPORTED = re.compile(r"^ *(?:from|import) +((?:dlt|dbt)\b[\w.]*)", re.MULTILINE)
# Prints what differs after every module of ours was imported; argv: modules to import before.
PROGRAM = """
import importlib, json, logging, os, pkgutil, signal, sys

for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
known = {name for name in sys.modules if name.partition(".")[0] in ("dlt", "dbt")}

def state():
    named = {f"environ {name}": value for name, value in os.environ.items()}
    named |= {f"signal {s.name}": repr(signal.getsignal(s)) for s in signal.valid_signals()
              if isinstance(s, signal.Signals)}
    root = logging.getLogger()
    named |= {"log level": root.level, "log handlers": list(map(id, root.handlers))}
    named |= {"folder": os.getcwd(), "hook": id(sys.excepthook)}
    for name in known:
        for attribute, value in list(vars(sys.modules[name]).items()):
            if isinstance(value, type(sys)) or attribute == "__warningregistry__":
                continue  # a module's child appears when anyone imports it
            named[f"{name}.{attribute}"] = id(value)
            if isinstance(value, type) and value.__module__ == name:
                named |= {f"{name}.{attribute}.{n}": id(v) for n, v in vars(value).items()
                          if not n.startswith(("__abstract", "_abc_", "__subclass"))}
    return named

before = state()
for package in ("loaders", "orchestration", "quotemill"):
    paths = importlib.import_module(package).__path__
    for found in pkgutil.walk_packages(paths, f"{package}."):
        if not found.name.endswith("__main__"):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:  # of an extra that is not installed
                if error.name.partition(".")[0] in ("loaders", "orchestration"):
                    raise
after = state()
print(json.dumps({
    "changed": sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n)),
    "later": sorted(n for n in sys.modules.keys() - known if n.partition(".")[0] in ("dlt", "dbt")),
}))
"""


def import_everything(first: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(first)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_importing_our_packages_changes_neither_process_nor_dlt_nor_dbt() -> None:
    # what other tests have imported saves a second round
    first = {name for name in sys.modules if name.partition(".")[0] in ("dlt", "dbt")}
    first |= {"dlt", "dbt.cli.main", "dbt.adapters.postgres"}
    for package in (loaders, orchestration):
        for path in Path(package.__path__[0]).rglob("*.py"):
            first.update(IMPORTED.findall(path.read_text("utf-8")))
    answer = import_everything(sorted(first))
    if answer["later"]:
        answer = import_everything(sorted(first.union(answer["later"])))
    assert answer["changed"] == []
