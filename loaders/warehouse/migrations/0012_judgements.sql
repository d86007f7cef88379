-- A finding stores the number of the judgement that saw it first. Of the judgements only the newest
-- number counts, which is a setting; what each one found is in ops.metrics.
do $$
begin
    if to_regclass('ops.judgements') is not null then
        insert into ops.settings (key, value)
        select 'judgement:' || qa_schema, max(judgement_id)::text
        from ops.judgements group by qa_schema;
        alter table ops.seen_findings drop constraint seen_findings_first_run_fkey;
        drop table ops.judgements;
    end if;
end
$$;
