"""What dlt takes for its settings while it lands our rows.

dlt looks for each field of each of its components under a dozen names in the environment, in files and in
the machine's secrets, thousands of times a package, and works out anew what the fields' types mean: a third
of what a small package costs. And what somebody set for pipelines of their own would reach ours.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

# some are read from the environment, while dlt is imported
SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    # Ctrl-C is the command's own affair: a package in hand is landed to its end
    "RUNTIME__INTERCEPT_SIGNALS": "false",
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
    "SOURCES__DATA_WRITER__BUFFER_MAX_ITEMS": "50000",
    "EXTRACT__NEXT_ITEM_MODE": "fifo",
}
os.environ.update(SETTINGS)

import yaml
from dlt.common import validation
from dlt.common.configuration import resolve
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs import base_configuration
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.destinations.impl.postgres import factory
from dlt.extract import extract

_BY_FIELD = {name.rpartition("__")[2].lower(): value for name, value in SETTINGS.items()}
# what is the same for a type at each call, by the modules that ask for it
_OF_TYPES: dict[Any, tuple[str, ...]] = {
    validation: (
        *("is_literal_type", "is_optional_type", "is_union_type"),
        *("extract_union_types", "is_typeddict", "is_list_generic_type", "is_dict_generic_type"),
    ),
    resolve: (
        *("extract_inner_hint", "is_base_configuration_inner_hint", "is_context_inner_hint"),
        *("is_hint_not_resolvable", "is_secret_hint", "is_union_type"),
    ),
    base_configuration: ("extract_inner_type",),
}
_fields: Any = functools.cache(validation.get_type_hints)  # type: ignore[attr-defined]
setattr(validation, "get_type_hints", lambda spec, **_: _fields(spec))  # noqa: B010
for module, names in _OF_TYPES.items():
    for name in names:
        setattr(module, name, functools.lru_cache(1024)(getattr(module, name)))


def _length(spec: type[base_configuration.BaseConfiguration]) -> int:
    fields = spec.__dataclass_fields__.values()
    return sum(map(base_configuration.is_valid_configspec_field, fields))


# each `if` of a component counts its fields, each package looks twenty times for a driver that is absent, and
# columns are told by the slower of two writers: a quarter of what a small package costs
_lengths: Any = functools.cache(_length)
setattr(base_configuration.BaseConfiguration, "__len__", lambda own: _lengths(type(own)))  # noqa: B010
setattr(factory, "get_adbc_driver_location", functools.cache(factory.get_adbc_driver_location))  # noqa: B010
_writer = getattr(yaml, "CDumper", yaml.Dumper)
setattr(extract, "yaml", SimpleNamespace(dump=functools.partial(yaml.dump, Dumper=_writer)))  # noqa: B010


class _Ours(ConfigProvider):
    """A field has our value, else its default: whatever it belongs to, as ours are fields of one component."""

    name = "quotemill"
    supports_secrets = True
    supports_sections = False

    def get_value(self, key: str, *_: Any) -> tuple[str | None, str]:
        return _BY_FIELD.get(key), key


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Let dlt know no other settings than ours; what else this process does with dlt finds its own after."""
    context = Container()[PluggableRunContext]
    held, context.providers = context.providers, ConfigProvidersContainer([_Ours()])
    try:
        yield
    finally:
        context.providers = held
