"""The tick store: one row per tick of a main-contract series, in QuestDB or in the warehouse itself.

`frame` says what a day of ticks is, `store` what a store can do; nothing here knows where ticks come
from.
"""
