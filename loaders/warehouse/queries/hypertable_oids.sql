select
    hypertable_schema as schema,
    hypertable_name as relation,
    format('%%I.%%I', hypertable_schema, hypertable_name)::regclass as oid
from timescaledb_information.hypertables
where hypertable_schema = any(%(schemas)s)
union all
-- a continuous aggregate is a view of one that lies outside its schema
select
    view_schema,
    view_name,
    format('%%I.%%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
from timescaledb_information.continuous_aggregates
where view_schema = any(%(schemas)s)
