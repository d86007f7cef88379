-- Key and indexes of the first rows are dropped and built in the transaction of the rows, and what
-- a table lacks is built when the warehouse is prepared (loaders/warehouse/tables.py). An index
-- whose build was cut short is there, and unusable.
do $$
declare
    invalid text;
begin
    if to_regclass('ops.pending_indexes') is not null then
        for invalid in
            select format('%I.%I', n.nspname, i.relname)
            from ops.pending_indexes as p
            inner join pg_namespace as n on n.nspname = p.schema_name
            inner join pg_class as i on i.relnamespace = n.oid and i.relname = p.index_name
            inner join pg_index as x on x.indexrelid = i.oid
            where not x.indisvalid
        loop
            execute 'drop index ' || invalid;
        end loop;
    end if;
end
$$;
drop table if exists ops.pending_indexes;
