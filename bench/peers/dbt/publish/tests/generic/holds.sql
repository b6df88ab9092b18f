{% test holds(model, rule) %}
select * from {{ model }} where not coalesce({{ rule }}, false)
{% endtest %}
