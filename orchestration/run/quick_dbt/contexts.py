"""Macros in dbt's contexts: each node and hook has some thousand, of which a model calls ten."""

from collections.abc import Callable
from itertools import repeat
from operator import itemgetter
from typing import Any


class _BoundMacro(tuple[Any, ...]):
    """A macro with what it is called with: dbt's object for it is made when it is called.

    Unit tests replace a macro by what it returns, and ask for its parts.
    """

    __slots__ = ()
    macro, context, node, stack = (property(itemgetter(n)) for n in range(4))

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        from dbt.clients.jinja import MacroGenerator

        return MacroGenerator

    def __call__(self, *args: Any, **options: Any) -> Any:
        from dbt.clients.jinja import MacroGenerator

        return MacroGenerator(*self)(*args, **options)


def make_macros_when_called(replace: Callable[[Any, str, Any], None]) -> None:
    """Fill the namespace of a model or hook, which has all macros, without five calls for each."""
    from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
    from dbt.context.manifest import ManifestContext

    def build_namespace(builder: Any, packages: dict[str, Any], context: Any) -> Any:
        common = repeat(context), repeat(builder.node), repeat(builder.thread_ctx)
        bound = {
            name: dict(
                zip(
                    macros,
                    map(_BoundMacro, zip(macros.values(), *common, strict=False)),
                    strict=True,
                )
            )
            for name, macros in packages.items()
        }
        internal: dict[str, Any] = {}
        for name in reversed(builder.internal_package_names_order):
            internal |= bound.pop(name, {})
        own, root = bound.get(builder.search_package, {}), bound.get(builder.root_package, {})
        return MacroNamespace({} if own is root else root, own, internal, bound)

    def merged(namespace: Any) -> dict[str, Any]:
        if "merged" not in vars(namespace):
            namespace.merged = dict[str, Any]()
            for part in reversed(list(namespace._search_order())):
                namespace.merged |= part
        members: dict[str, Any] = namespace.merged
        return members

    list_members = ManifestContext.to_dict

    def all_members(context: Any) -> Any:
        if not isinstance(context.namespace, MacroNamespace):
            return list_members(context)
        members = super(ManifestContext, context).to_dict()  # the context itself, which macros hold
        members.update(merged(context.namespace))
        return members

    replace(MacroNamespaceBuilder, "build_namespace", build_namespace)
    replace(ManifestContext, "to_dict", all_members)
    replace(MacroNamespace, "_keys", merged)
    replace(MacroNamespace, "__getitem__", lambda namespace, name: merged(namespace)[name])
