"""China futures by TqSdk.

Main contracts, the events of their schedule, and ticks of scheduled days only.

Data come from shinnytech's servers through the client tqsdk, which needs an account; the history of
ticks needs its professional edition (permission tq_dl). The client runs in processes of its own
(client/program).

    lane tq        trading_day ▶ trading_session · contract · main_events ▶ contract_daily
                   ▶ contract_terms ▶ settlement
    (dbt)          main events ▶ futures.main_schedule
    lane tq_ticks  schedule − ledger − days without data ▶ ticks ▶ tick store ▶ symbol_day
                   tick store ▶ tick_minute

Ticks go to the tick store (loaders.ticks), are awaited and read back, and only then does their
ledger row land.
"""
