"""Old ticks as Parquet files in place of the tick store, which compresses nothing.

    store ▶ a file of the trading day, read back ▶ index rows name the file ▶ ticks leave the store
      └──────────────────── restore: ticks to the store, read back ▶ index rows name none ◀──┘

The index row of a day stays: loads count the day as before. A kill between two steps leaves ticks
in both places, and the next archive or restore finishes. Files are replaced, never deleted.
"""
