{#- Opening balance less principal paid is the closing balance, to the cent. -#}
{% test balance_roll_forward(model, opening, principal, closing, key='loan_id') %}
select
    {{ key }},
    '{{ closing }}' as column_name,
    cast({{ closing }} as varchar) as value,
    cast({{ opening }} as varchar) || ' less ' || cast({{ principal }} as varchar) as reason
from {{ model }}
where abs({{ opening }} - {{ principal }} - {{ closing }}) > 0.01
{% endtest %}
