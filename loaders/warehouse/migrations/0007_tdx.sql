-- A self-test is its verdicts, check by check: a run has no hash of them.
alter table ops.testing_runs drop column if exists fingerprint;
-- Keys that no load has: a later load of the key would delete their failure.
delete from ops.failed_keys
where
    source = 'tdx'
    and (dataset = 'vipdoc_daily' or (dataset = 'sectors' and key like 'block\_%'));
