{{ config(materialized='external', location=env_var('BENCH_TARGET') ~ '/lineitem_rejected.parquet') }}
select * exclude (_holds)
from {{ ref('judged') }}
where not _holds
