{#- "No ratio" written as 999 or -1 that got through as a number, in percent points or as a ratio. -#}
{% test dti_sentinel(model, columns, key='loan_id') %}
{% for column in columns -%}
select
    {{ key }},
    '{{ column }}' as column_name,
    cast({{ column }} as varchar) as value
from {{ model }}
where {{ column }} < 0 or {{ column }} >= 9.99
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
