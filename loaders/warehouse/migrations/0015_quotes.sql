-- The service's build of April 2026 does not tell these fields of a quote.
alter table if exists raw_tdx.quote
alter column current_hand drop not null,
alter column inside_dish drop not null,
alter column outer_disc drop not null,
alter column server_time drop not null,
alter column active1 drop not null,
alter column active2 drop not null;
alter table if exists raw_tdx.quote_history
alter column current_hand drop not null,
alter column inside_dish drop not null,
alter column outer_disc drop not null,
alter column server_time drop not null,
alter column active1 drop not null,
alter column active2 drop not null;
