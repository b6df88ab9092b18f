-- Typed invoice lines that keep the rules; of lines equal in every field as received the last one.
{{ config(materialized='incremental', unique_key='line_key') }}

select * exclude (received)
from {{ ref('stg_lines_read') }}
where {{ of_new_loads() }} and {{ keeps_all(line_rules()) }}
qualify row_number() over (partition by line_key order by load_id desc, source_file desc, source_line desc) = 1
