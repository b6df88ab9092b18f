-- Invoice lines that break a rule, with the rules.
{{ config(materialized='incremental', unique_key='line_key') }}

select
    *,
    list_filter([
        {%- for name, holds in line_rules().items() %}
        case when not coalesce({{ holds }}, false) then '{{ name }}' end{{ "," if not loop.last }}
        {%- endfor %}
    ], rule -> rule is not null) as rules
from {{ ref('stg_lines_read') }}
where {{ of_new_loads() }} and not ({{ keeps_all(line_rules()) }})
qualify row_number() over (partition by line_key order by load_id desc, source_file desc, source_line desc) = 1
