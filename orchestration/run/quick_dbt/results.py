"""Results of statements: dbt makes what tells text from dates, with three calendars, for each."""

from collections.abc import Callable, Iterable
from typing import Any


def share_testers(replace: Callable[[Any, str, Any], None]) -> None:
    """Make the tester of types once for all results with the same columns of text."""
    from dbt_common.clients import agate_helper

    build, testers = agate_helper.build_type_tester, dict[Any, Any]()

    def build_once(text_columns: Iterable[str], string_null_values: Any = ("null", "")) -> Any:
        key = tuple(sorted(text_columns)), tuple(string_null_values)
        if key not in testers:
            testers[key] = build(key[0], key[1])
        return testers[key]

    replace(agate_helper, "build_type_tester", build_once)
