"""Templates: dbt compiles a text again wherever it stands, and for the build what it parsed."""

from collections.abc import Callable
from typing import Any


def compile_templates_once(replace: Callable[[Any, str, Any], None]) -> None:
    """Compile each text once in a command."""
    from dbt_common.clients.jinja import MacroFuzzEnvironment
    from jinja2 import Environment

    code = dict[Any, Any]()

    def compile_once(environment: Any, source: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(source, str):
            return Environment.compile(environment, source, *args, **options)
        key = type(environment), source, args, tuple(sorted(options.items()))
        if key not in code:
            code[key] = Environment.compile(environment, source, *args, **options)
        return code[key]

    replace(MacroFuzzEnvironment, "compile", compile_once)
