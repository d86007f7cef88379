"""Option chains in Parquet: archive closed days, drop old ones from the warehouse, restore them.

    warehouse ▶ archive (a file per underlying and day) ▶ compaction (files of a month) ▶ restore
        └───────◀ retention drops intraday rows whose file returns what the warehouse has

A file is written under a name that readers skip, read back, and only then renamed. The tables
ops.archive_files and ops.archive_partitions say what lies where.
"""
