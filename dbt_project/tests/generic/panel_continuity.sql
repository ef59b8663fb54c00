{#- Months missing between a loan's first and last. -#}
{% test panel_continuity(model, key='loan_id', month='month_end') %}
select
    {{ key }},
    '{{ month }}' as column_name,
    cast({{ month }} as varchar) as value,
    'month after a gap' as reason
from (
    select
        {{ key }},
        {{ month }},
        lag({{ month }}) over (partition by {{ key }} order by {{ month }}) as previous_month
    from {{ model }}
) as steps
where datediff('month', previous_month, {{ month }}) <> 1
{% endtest %}
