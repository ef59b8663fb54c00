{#-
  Values outside [min, max]; either end may be left out, nulls pass. One scan for all columns of a model.
  ranges: list of {column, min, max}.
-#}
{% test accepted_range(model, ranges, key='loan_id') %}
with outside as (

    select
        {{ key }},
        {%- for range in ranges %}
        {{ range.column }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ model }}
    where
        {%- for range in ranges %}
        {{ "or " if not loop.first }}({{ outside_range(range) }})
        {%- endfor %}

)

{% for range in ranges -%}
select
    cast({{ key }} as varchar) as {{ key }},
    '{{ range.column }}' as column_name,
    cast({{ range.column }} as varchar) as value,
    'allowed: {{ range.get('min', 'any') }} to {{ range.get('max', 'any') }}' as reason
from outside
where {{ outside_range(range) }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
