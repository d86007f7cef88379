"""The tick store, a QuestDB: one row per tick of a main-contract series.

    frame      a day of ticks and its checks        store      what it holds, as values
    day_hash   the hash of a day                    tables     its tables
    index_tables  index rows as Arrow tables        questdb/   the store and its server
    open_store    the store of the settings         store_state  its contents and problems

Nothing here knows where ticks come from.
"""
