-- What has arrived, with its types.
{{ config(materialized='view') }}

select
    cast(order_id as bigint) as order_id,
    cast(changed_on as date) as changed_on,
    status,
    cast(amount as double) as amount,
    remark
from {{ source('received', 'orders') }}
