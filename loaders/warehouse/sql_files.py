"""SQL text in .sql files beside the module that runs it."""

from functools import cache
from importlib.resources import files


@cache
def read_sql(package: str, name: str) -> str:
    """The text of `name`.sql in the folder of a package."""
    return files(package).joinpath(f"{name}.sql").read_text("utf-8")
