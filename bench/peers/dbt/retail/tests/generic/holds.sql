{# Rows that break any of some rules; a rule without an answer is broken. One pass over the table for all of them. #}
{% test holds(model, rules) %}
select *
from {{ model }}
where not ({% for rule in rules %}coalesce({{ rule }}, false){{ " and " if not loop.last }}{% endfor %})
{% endtest %}
