{#- `date` moved by a whole number of months, as a date; the day is clipped to the month's length. -#}
{% macro months_after(date, months) %}
    {{- return(adapter.dispatch('months_after', 'credit_risk')(date, months)) -}}
{% endmacro %}

{% macro default__months_after(date, months) -%}
    cast({{ date }} + to_months(cast({{ months }} as integer)) as date)
{%- endmacro %}

{#- Not add_months(), which makes 31 March of 30 April less a month: it keeps the last day of a month the last. -#}
{% macro snowflake__months_after(date, months) -%}
    cast(dateadd('month', {{ months }}, {{ date }}) as date)
{%- endmacro %}
