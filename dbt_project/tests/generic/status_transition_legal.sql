{#- A loan that left the book and came back: nothing follows these final statuses but themselves. -#}
{% test status_transition_legal(model, final, status='status', key='loan_id', month='month_end') %}
select
    {{ key }},
    '{{ status }}' as column_name,
    previous_status || ' -> ' || {{ status }} as value,
    cast({{ month }} as varchar) as reason
from (
    select
        {{ key }},
        {{ month }},
        {{ status }},
        lag({{ status }}) over (partition by {{ key }} order by {{ month }}) as previous_status
    from {{ model }}
) as steps
where
    previous_status in ({% for each in final %}'{{ each }}'{{ ", " if not loop.last }}{% endfor %})
    and {{ status }} <> previous_status
{% endtest %}
