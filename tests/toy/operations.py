"""What commands know of the toy source: it needs no setting, and ships no job."""

from loaders.engine.operations import Operations

OPERATIONS = Operations(missing=lambda _: None, title="a toy", time_zone="Asia/Shanghai")
