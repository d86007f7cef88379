"""SQL of this source's queries: what is stored, what is due, what is covered."""

from loaders.warehouse.sql_files import read_sql


def query(name: str, **parts: object) -> bytes:
    """The text of a file in this folder, with its parts in braces filled in."""
    text = read_sql(__name__, name)
    return (text.format(**parts) if parts else text).encode()
