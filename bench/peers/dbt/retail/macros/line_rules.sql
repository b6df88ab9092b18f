{# What an invoice line has to keep: the name of each rule, and when it holds. #}
{% macro line_rules() %}
  {% do return({
    'invoice is present': "invoice is not null",
    'stock_code is present': "stock_code is not null",
    'quantity is present': "quantity is not null",
    'unit_price is present': "unit_price is not null and not isnan(unit_price)",
    'customer_id can be read': "customer_id is not null or received.customer_id is null or trim(received.customer_id) = ''",
    'country is present': "country is not null",
    'invoiced_at is present': "invoiced_at is not null",
    'invoice matches': "regexp_full_match(invoice, '[AC]?[0-9]{6}')",
    'quantity is not 0': "quantity <> 0",
    'unit_price is at least 0': "unit_price >= 0",
  }) %}
{% endmacro %}

{% macro keeps_all(rules) %}
  {%- for holds in rules.values() %}coalesce({{ holds }}, false){{ " and " if not loop.last }}{% endfor -%}
{% endmacro %}

{# Rows of loads that this model has not seen. #}
{% macro of_new_loads() %}
  {% if is_incremental() %}load_id > (select coalesce(max(load_id), '') from {{ this }}){% else %}true{% endif %}
{% endmacro %}
