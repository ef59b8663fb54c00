{% test percent_scale(model, columns) %}
with medians as (

    select
        {%- for each in columns %}
        median({{ each.column }}) as {{ each.column }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ model }}

)

{% for each in columns -%}
select
    '{{ each.column }}' as column_name,
    {{ each.column }} as value,
    'the median should lie between {{ each.low }} and {{ each.high }}: percent points or a ratio divided twice?' as reason
from medians
where {{ each.column }} not between {{ each.low }} and {{ each.high }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
