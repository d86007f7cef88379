-- A slot run counts no silent contracts any longer: the column of an older warehouse may be empty.
do $$
declare
    name text;
begin
    for name in
        select attrelid::regclass::text from pg_attribute
        where attrelid in (to_regclass('raw_ib.slot_run'), to_regclass('raw_ib.slot_run_history'))
            and attname = 'silent' and attnotnull
    loop
        execute format('alter table %s alter column silent drop not null', name);
    end loop;
end $$;
