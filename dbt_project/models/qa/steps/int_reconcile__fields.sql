select * from {{ ref('int_reconcile__bars') }}
union all
select * from {{ ref('int_reconcile__adjusted') }}
