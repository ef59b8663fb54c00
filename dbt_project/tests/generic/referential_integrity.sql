{#- Keys without a row in the table they point to. -#}
{% test referential_integrity(model, column, to, field=none) %}
select distinct
    child.{{ column }} as loan_id,
    '{{ column }}' as column_name,
    'no such row in {{ to }}' as reason
from {{ model }} as child
left join {{ to }} as parent on child.{{ column }} = parent.{{ field or column }}
where child.{{ column }} is not null and parent.{{ field or column }} is null
{% endtest %}
