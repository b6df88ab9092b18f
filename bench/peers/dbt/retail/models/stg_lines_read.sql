-- Invoice lines as received, read: a value that cannot be read is null.
{{ config(materialized='view') }}

with given as (
    select
        *,
        try_strptime(invoice_date, '%Y-%m-%d %H:%M:%S') as local_at,
        struct_pack(invoice_no, stock_code, description, quantity, invoice_date, unit_price, customer_id, country) as received
    from {{ source('raw', 'invoice_lines') }}
)
select
    md5_number(concat_ws(
        chr(31), coalesce(invoice_no, ''), coalesce(stock_code, ''), coalesce(description, ''), coalesce(quantity, ''),
        coalesce(invoice_date, ''), coalesce(unit_price, ''), coalesce(customer_id, ''), coalesce(country, '')
    )) as line_key,
    nullif(upper(trim(invoice_no)), '') as invoice,
    nullif(upper(trim(stock_code)), '') as stock_code,
    nullif(regexp_replace(trim(description), '\s+', ' ', 'g'), '') as description,
    case when regexp_full_match(quantity, '[+-]?[0-9]+') then try_cast(quantity as integer) end as quantity,
    try_cast(unit_price as double) as unit_price,
    case when regexp_full_match(customer_id, '[0-9]+([.]0)?') then cast(replace(customer_id, '.0', '') as bigint) end
        as customer_id,
    nullif(trim(country), '') as country,
    case
        when (local_at at time zone 'Europe/London') at time zone 'Europe/London' = local_at
        then local_at at time zone 'Europe/London'
    end as invoiced_at,
    cast(local_at as date) as invoice_date,
    starts_with(upper(trim(invoice_no)), 'C') as is_cancellation,
    not regexp_full_match(upper(trim(stock_code)), '[0-9]{5}[A-Z]{0,2}') as is_service,
    received,
    _dlt_load_id as load_id,
    source_file,
    source_line
from given
