-- Where each known customer was, and from when until when; of several countries on a day the last one counts.
{{ config(materialized='table') }}

with said as (
    select customer_id, invoice_date, country, unit_price, load_id, source_file, source_line from {{ ref('stg_lines') }}
    union all
    select customer_id, invoice_date, country, unit_price, load_id, source_file, source_line from {{ ref('stg_lines_rejected') }}
),
days as (
    select customer_id, invoice_date as valid_from, arg_max(country, row(load_id, source_file, source_line)) as country
    from said
    where customer_id is not null and invoice_date is not null and country is not null
    group by all
),
changes as (
    select *
    from days
    qualify country is distinct from lag(country) over (partition by customer_id order by valid_from)
)
select *, lead(valid_from) over (partition by customer_id order by valid_from) as valid_to
from changes
