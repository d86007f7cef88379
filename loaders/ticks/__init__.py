"""The tick store: one row per tick of a main-contract series.

In QuestDB or in the warehouse itself.

    frame      a day of ticks and its checks        store      what a store can do
    day_hash   the hash of a day, in any engine     tables     the tables of a store
    postgres   the store in the warehouse           questdb/   the store in QuestDB, and its server
    index_tables  index rows as Arrow tables        open_store  the store that the settings name
    space      free space under a store         store_state  its contents and problems, for status

Nothing here knows where ticks come from.
"""
