select * from {{ ref('int_corporate_actions__unread') }}
union all
-- complete and applied but for its money: the exchange rate is unknown
select
    code,
    ex_date,
    concat_ws(' ', code, to_char(ex_date, 'YYYY-MM-DD'), source, seq) as row_key,
    'cash_per10_yuan' as field,
    '{{ foreign_money_rule() }}' as rule
from {{ ref('corporate_actions') }}
where is_active and {{ has_foreign_money() }}
