"""Views in the shapes that other programs read, in schema `compat`, made on request.

Each view is a file beside this one: selects that are joined by `union all`, each after a line that
names what it reads. One whose tables are not built yet is left out.
"""
