-- What each product was called, and from when until when; remarks on stock, at no price, say nothing.
{{ config(materialized='table') }}

with said as (
    select stock_code, invoice_date, description, unit_price, load_id, source_file, source_line from {{ ref('stg_lines') }}
    union all
    select stock_code, invoice_date, description, unit_price, load_id, source_file, source_line from {{ ref('stg_lines_rejected') }}
),
days as (
    select stock_code, invoice_date as valid_from, arg_max(description, row(load_id, source_file, source_line)) as description
    from said
    where stock_code is not null and unit_price is distinct from 0 and invoice_date is not null and description is not null
    group by all
),
changes as (
    select *
    from days
    qualify description is distinct from lag(description) over (partition by stock_code order by valid_from)
)
select *, lead(valid_from) over (partition by stock_code order by valid_from) as valid_to
from changes
