{#- Text that looks like a person: an e-mail address, a phone number, a card or a social security number. -#}
{% test pii_scanner(model, columns, key='loan_id') %}
{%- set patterns = {
    'e-mail address': '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+[.][A-Za-z]{2,}',
    'social security number': '(^|[^0-9])[0-9]{3}-[0-9]{2}-[0-9]{4}([^0-9]|$)',
    'card number': '(^|[^0-9])([0-9]{4}[ -]){3}[0-9]{1,7}([^0-9]|$)|(^|[^0-9A-Za-z])[0-9]{13,16}([^0-9A-Za-z]|$)',
    'phone number': '(^|[^0-9])([+][0-9]{1,3}[ -]?)?[(]?[0-9]{3}[)]?[ -][0-9]{3}[ -][0-9]{4}([^0-9]|$)',
} %}
with texts as (
    {% for column in columns %}
    select
        '{{ column }}' as column_name,
        {{ column }} as text,
        min({{ key }}) as {{ key }}
    from {{ model }}
    where {{ column }} is not null
    group by {{ column }}
    {{ "union all" if not loop.last }}
    {% endfor %}
)

{% for kind, pattern in patterns.items() -%}
select
    {{ key }},
    column_name,
    'looks like a {{ kind }}' as reason
from texts
where {{ matches('text', pattern) }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
