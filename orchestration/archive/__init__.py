"""The storage life cycle of option chains: what is closed goes to Parquet, what is old leaves the warehouse.

    warehouse ▶ archive (a file for each underlying and day) ▶ compaction (files of a month) ▶ restore
        └───────◀ retention drops intraday rows whose file gives back what the warehouse has

A file is written under a name that no reader takes for data, read back, and only then renamed. What is where
is in ops.archive_files and ops.archive_partitions.
"""
