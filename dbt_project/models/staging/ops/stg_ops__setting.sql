select
    key,
    value
from {{ source('ops', 'settings') }}
