-- Revenue by day and country in GBP and EUR, with the mean of the 7 calendar days up to each.
-- From the first day with new lines on: a mean looks back 6 days, and a customer may have moved on that day.
{{ config(materialized='incremental', unique_key='sales_date') }}

with since as (
    select min(invoice_date) as day from {{ ref('stg_lines') }} where {{ of_new_loads() }}
),
placed as (
    select
        l.* exclude (country),
        coalesce(c.country, l.country) as country
    from {{ ref('stg_lines') }} as l
    asof left join {{ ref('stg_customer_history') }} as c
        on l.customer_id = c.customer_id and l.invoice_date >= c.valid_from
    where l.invoice_date >= (select day - 6 from since)
),
days as (
    select
        invoice_date as sales_date,
        country,
        sum(quantity * unit_price) as revenue_gbp,
        count(distinct invoice) filter (not is_cancellation) as invoices,
        cast(coalesce(sum(quantity) filter (quantity > 0), 0) as bigint) as units,
        cast(coalesce(-sum(quantity) filter (quantity < 0), 0) as bigint) as returns,
        count(*) as lines,
        max(load_id) as load_id
    from placed
    group by all
),
weeks as (
    select
        *,
        sum(revenue_gbp) over (
            partition by country order by sales_date range between interval 6 days preceding and current row
        ) / 7 as revenue_gbp_7d_mean
    from days
)
select
    w.sales_date,
    w.country,
    w.revenue_gbp,
    w.revenue_gbp / p.rate as revenue_eur,
    w.revenue_gbp_7d_mean,
    w.invoices,
    w.units,
    w.returns,
    w.lines,
    w.load_id
from weeks as w
asof left join (select * from {{ ref('stg_fx_rates') }} where currency = 'GBP') as p on w.sales_date >= p.rate_date
where w.sales_date >= (select day from since)
