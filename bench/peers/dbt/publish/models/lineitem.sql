{{ config(
    materialized='external',
    location=env_var('BENCH_TARGET') ~ '/lineitem',
    format='parquet',
    options={'partition_by': '_month', 'overwrite_or_ignore': true}
) }}
select * exclude (_holds), date_trunc('month', l_shipdate)::date as _month
from {{ ref('judged') }}
where _holds
