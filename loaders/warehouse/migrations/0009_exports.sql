-- An export is a folder and has no name: the command of each that the schedule kept fresh stays in
-- its row until the settings have it, so that nothing goes stale in silence.
do $$
begin
    if to_regclass('ops.exports') is not null then
        update ops.schedules as s
        set
            kind = 'followed export',
            timing = concat_ws(
                ' ',
                'export rows',
                case
                    when e.what ~ '^[\w.]+$' then e.what
                    else '''' || replace(e.what, '''', '''"''"''') || ''''
                end,
                '''' || replace(e.folder, '''', '''"''"''') || '''',
                '--to ' || e.form,
                '--codes ' || nullif(array_to_string(e.codes, ','), ''),
                '--since ' || e.since,
                '--adjust ' || nullif(e.adjust, 'none'),
                case when not e.is_exact then '--no-exact' end
            )
        from ops.exports as e
        where s.name = 'export_' || e.name and s.is_enabled;
        delete from ops.schedules as s using ops.exports as e
        where s.name = 'export_' || e.name and not s.is_enabled;
        drop table ops.exports;
    end if;
end
$$;
