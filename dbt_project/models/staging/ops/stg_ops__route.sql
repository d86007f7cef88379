select
    route_no,
    route
from {{ source('ops', 'routes') }}
