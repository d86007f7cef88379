"""Backups: a dump of the warehouse with what a dump lacks, of which the newest are kept.

    backups/backup-00012-20261121T200000Z/
        warehouse.dump   everything of ours in the warehouse, read back from end to end
        settings.toml    what was set, without secrets
        backup.json      of what, when, by which versions; size and sha256 of the files above

A backup is written under a name that no reader takes for one, and renamed once it is whole.
"""
