{#- Dates of what a row is made of that lie after the day it stands for. -#}
{% test point_in_time(model, known, as_of, key='loan_id') %}
{% for column in known -%}
select
    {{ key }},
    '{{ column }}' as column_name,
    cast({{ column }} as varchar) as value,
    'known after ' || cast({{ as_of }} as varchar) as reason
from {{ model }}
where {{ column }} > {{ as_of }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
