{#- Categories nobody has listed; nulls pass. columns: mapping of column name to its allowed values. -#}
{% test allowed_values(model, columns, key='loan_id') %}
{% for column, values in columns.items() -%}
select
    cast({{ key }} as varchar) as {{ key }},
    '{{ column }}' as column_name,
    cast({{ column }} as varchar) as value,
    'not one of {{ values | join(', ') }}' as reason
from {{ model }}
where {{ column }} not in ({% for value in values %}'{{ value }}'{{ ", " if not loop.last }}{% endfor %})
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
