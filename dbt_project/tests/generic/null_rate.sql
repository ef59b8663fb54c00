{#- Columns emptier than allowed. columns: mapping of column name to the highest share of nulls. One scan. -#}
{% test null_rate(model, columns) %}
with counted as (

    select
        count(*) as n_rows,
        {%- for column in columns %}
        count({{ column }}) as {{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ model }}

)

{% for column, limit in columns.items() -%}
select
    '{{ column }}' as column_name,
    1.0 - {{ column }} / cast(n_rows as double) as value,
    'at most {{ limit }} may be null' as reason
from counted
where n_rows > 0 and 1.0 - {{ column }} / cast(n_rows as double) > {{ limit }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
