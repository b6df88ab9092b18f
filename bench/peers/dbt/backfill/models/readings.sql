-- Typed readings; dbt reads of the source only the day of a batch.
{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='read_date',
    batch_size='day',
    begin='2024-01-01'
) }}

select
    try_cast(meter as bigint) as meter,
    try_cast(power as double) as power,
    try_strptime(read_at, '%Y-%m-%d %H:%M:%S') as read_at,
    try_cast(read_at[:10] as date) as read_date,
    _source,
    _offset
from {{ source('received', 'readings') }}
