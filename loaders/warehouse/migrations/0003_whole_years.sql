-- Contracts of Zhengzhou (CZCE) have two digits of their delivery year: CZCE.SR2601 was CZCE.SR601.
-- Names with one digit were of deliveries from October 2020 to September 2030.
do $$
declare
    place record;
    changed bigint;
begin
    for place in
        select
            n.nspname as schema_name,
            c.relname as table_name,
            n.nspname like 'raw\_%' as is_landed,
            string_agg(
                format(
                    $f$%1$I = regexp_replace(
                        %1$I,
                        '^(CZCE\.[A-Za-z_]+)(\d{3})$',
                        '\1' || case when right(%1$I, 3) < '010' then '3' else '2' end || '\2'
                    )$f$,
                    a.attname
                ),
                ', '
            ) as assignments,
            string_agg(format($f$%I ~ '^CZCE\.[A-Za-z_]+\d{3}$'$f$, a.attname), ' or ')
                as conditions
        from pg_class as c
        inner join pg_namespace as n on c.relnamespace = n.oid
        inner join pg_attribute as a on c.oid = a.attrelid and not a.attisdropped
        left join ops.managed_relation as m
            on n.nspname = m.schema_name and c.relname = m.relation_name
        where
            c.relkind in ('r', 'p')
            and (
                n.nspname = 'raw_tq'
                and a.attname in ('contract', 'old_contract', 'new_contract')
                -- so that ticks can be loaded before the next build
                or m.relation_name = 'main_schedule'
                and a.attname in ('underlying_contract', 'prev_contract')
            )
        group by 1, 2, 3
    loop
        execute format(
            'update %I.%I set %s where %s',
            place.schema_name, place.table_name, place.assignments, place.conditions
        );
        get diagnostics changed = row_count;
        if changed > 0 and place.is_landed then
            insert into ops.changes (table_name)
            values (place.schema_name || '.' || place.table_name);
        end if;
    end loop;
end
$$;

-- a key is a contract, or a series, a contract and a day
update ops.ingestion_state
set
    key = regexp_replace(
        key,
        '^(CZCE\.[A-Za-z_]+)(\d{3})$',
        '\1' || case when right(key, 3) < '010' then '3' else '2' end || '\2'
    )
where source = 'tq' and key ~ '^CZCE\.[A-Za-z_]+\d{3}$';

update ops.failed_keys
set
    key = regexp_replace(
        key,
        '(^| )(CZCE\.[A-Za-z_]+)(\d{3})( |$)',
        '\1\2'
        || case when substring(key from 'CZCE\.[A-Za-z_]+(\d{3})') < '010' then '3' else '2' end
        || '\3\4'
    )
where source = 'tq' and key ~ '(^| )CZCE\.[A-Za-z_]+\d{3}( |$)';
