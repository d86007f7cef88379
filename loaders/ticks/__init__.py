"""The tick store, a QuestDB: one row per tick of a main-contract series.

    frame      a day of ticks and its checks        store      what it holds, as values
    day_hash   the hash of a day                    tables     its tables
    index_tables  index rows as Arrow tables        questdb/   the store and its server
    space      free space under it                  open_store  the store that the settings name
    store_state  its contents and problems, for status

Nothing here knows where ticks come from.
"""
