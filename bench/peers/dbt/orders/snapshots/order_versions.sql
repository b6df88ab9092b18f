{# All versions of each order. #}
{% snapshot order_versions %}
{{ config(unique_key='order_id', strategy='timestamp', updated_at='changed_on') }}

select
    cast(order_id as bigint) as order_id,
    cast(changed_on as date) as changed_on,
    status,
    cast(amount as double) as amount,
    remark
from {{ source('received', 'orders') }}
{% endsnapshot %}
