-- Reference rates in long form; the latest delivery of a day and currency wins.
{{ config(materialized='incremental', unique_key=['rate_date', 'currency']) }}

with cells as (
    unpivot (
        select * exclude (source_line), _dlt_load_id as load_id
        from {{ source('raw', 'fx_rates') }}
        where {{ of_new_loads() }}
    )
    on columns(* exclude ("date", source_file, _dlt_load_id, load_id))
    into name currency value rate_text
)
select
    cast("date" as date) as rate_date,
    upper(currency) as currency,
    cast(rate_text as double) as rate,
    load_id
from cells
where trim(rate_text) not in ('N/A', '')
qualify row_number() over (partition by "date", currency order by load_id desc, source_file desc) = 1
