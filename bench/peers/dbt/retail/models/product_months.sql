-- Sales by month and product; of the months with new lines.
{{ config(materialized='incremental', unique_key='month') }}

select
    cast(date_trunc('month', invoice_date) as date) as month,
    stock_code,
    cast(sum(quantity) as bigint) as units,
    sum(quantity * unit_price) as revenue_gbp,
    count(distinct invoice) filter (not is_cancellation) as invoices,
    count(distinct customer_id) as customers,
    count(*) as lines,
    max(load_id) as load_id
from {{ ref('stg_lines') }}
{% if is_incremental() -%}
where date_trunc('month', invoice_date) in (
    select distinct date_trunc('month', invoice_date) from {{ ref('stg_lines') }} where {{ of_new_loads() }}
)
{% endif -%}
group by all
