"""dlt in the process of tests, without repeated work that no test checks."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any

import pytest


def spare_dlt(patch: pytest.MonkeyPatch) -> None:
    """Skip work of dlt that each package repeats and no test checks: half of a package's time."""
    from dlt.common import typing, validation
    from dlt.common.configuration import resolve
    from dlt.common.configuration.specs.base_configuration import BaseConfiguration
    from dlt.common.normalizers.json import relational
    from dlt.common.schema import schema, utils
    from dlt.extract import extract

    for name in TYPE_QUESTIONS:
        ask = getattr(typing, name)
        answer_once = _answer_once(ask)
        for module in [module for key, module in sys.modules.items() if key.startswith("dlt.")]:
            if vars(module).get(name) is ask:
                patch.setattr(module, name, answer_once)
    read_hints, hints = validation.get_type_hints, dict[Any, Any]()
    count, counts = BaseConfiguration.__len__, dict[type, int]()

    def hints_once(spec: Any, **options: Any) -> Any:
        if spec not in hints:
            hints[spec] = read_hints(spec, **options)
        return hints[spec]

    patch.setattr(validation, "get_type_hints", hints_once)

    def count_once(configuration: Any) -> int:
        kind = type(configuration)
        if kind not in counts:
            counts[kind] = count(configuration)
        return counts[kind]

    patch.setattr(BaseConfiguration, "__len__", count_once)
    # the fields of a class, asked for each setting that dlt reads
    list_fields, fields = BaseConfiguration.get_resolvable_fields.__func__, dict[type, Any]()

    def list_once(kind: type) -> Any:
        if kind not in fields:
            fields[kind] = list_fields(kind)
        return dict(fields[kind])

    patch.setattr(BaseConfiguration, "get_resolvable_fields", classmethod(list_once))
    # where each setting came from, for a trace that nobody reads
    patch.setattr(resolve, "log_traces", lambda *_: None)
    # whether a table is merged, asked for each table of each copy of a schema: ours never are
    patch.setattr(relational.DataItemNormalizer, "extend_table", lambda *_: None)
    # a driver that is not installed, sought for each package
    patch.setattr("dlt.destinations.impl.postgres.factory.get_adbc_driver_location", lambda: "none")
    # the default hints of each schema that is opened
    patch.setattr(schema, "validate_dict", lambda *_, **__: None)
    for module in (schema, utils):
        patch.setattr(module, "deepcopy", _copy)
    _spare_settings(patch)
    _spare_files(patch)
    # the columns of each package, for a trace that nobody reads
    patch.setattr(extract, "yaml", SimpleNamespace(dump=lambda columns, **_: str(columns)))


def _spare_settings(patch: pytest.MonkeyPatch) -> None:
    """Call what each schema and table calls without settings for it, of which ours has none."""
    from dlt.common.destination import client
    from dlt.common.schema import schema

    for module, name in ((schema, "import_normalizers"), (client, "prepare_load_table")):
        patch.setattr(module, name, getattr(module, name).__wrapped__)
    configured = schema.configured_normalizers.__wrapped__

    def configure(schema_name: str) -> Any:
        return configured(naming=None, json_normalizer=None, schema_name=schema_name)

    patch.setattr(schema, "configured_normalizers", configure)


def _spare_files(patch: pytest.MonkeyPatch) -> None:
    """Open files of a package as what they are, not first as compressed ones."""
    from dlt.common.storages import file_storage

    unpack = file_storage.FileStorage.open_zipsafe_ro

    def open_file(path: str, mode: str = "r", **options: Any) -> Any:
        with Path(path).open("rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
        if is_packed:
            return unpack(path, mode, **options)
        encoding = options.pop("encoding", file_storage.encoding_for_mode(mode))
        return Path(path).open(mode, encoding=encoding, **options)

    patch.setattr(file_storage.FileStorage, "open_zipsafe_ro", staticmethod(open_file))


TYPE_QUESTIONS = (
    "get_origin",
    "extract_inner_type",
    "extract_type_if_modifier",
    "is_any_type",
    "is_callable_type",
    "is_final_type",
    "is_list_generic_type",
    "is_dict_generic_type",
    "is_literal_type",
    "is_newtype_type",
    "is_optional_type",
    "is_subclass",
    "is_typeddict",
    "is_union_type",
)


def _answer_once(ask: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which answers once for each type; types are compared by identity."""
    answers = dict[tuple[int, ...], tuple[Any, Any]]()

    def answer(*types: Any, **options: Any) -> Any:
        if options:
            return ask(*types, **options)
        key = tuple(map(id, types))
        if key not in answers:
            answers[key] = types, ask(*types)  # with them, as another type may get a number again
        return answers[key][1]

    return answer


def _copy(value: Any) -> Any:
    """A deep copy of what a schema consists of."""
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_copy(part) for part in value]
    return value if isinstance(value, (str, int, float, NoneType)) else copy.deepcopy(value)
