-- Recency, frequency and monetary value of each known customer.
{{ config(materialized='table') }}

with known as (
    select *, not is_cancellation and quantity > 0 as is_purchase
    from {{ ref('stg_lines') }}
    where customer_id is not null
)
select
    customer_id,
    min(invoice_date) filter (is_purchase) as first_purchase_date,
    max(invoice_date) filter (is_purchase) as last_purchase_date,
    (select max(invoice_date) from known) - max(invoice_date) filter (is_purchase) as recency_days,
    count(distinct invoice) filter (not is_cancellation) as frequency,
    sum(quantity * unit_price) as monetary_gbp,
    cast(coalesce(-sum(quantity) filter (quantity < 0), 0) as bigint) as returns,
    count(*) as lines
from known
group by all
