{#- `date` moved by a whole number of months, as a date; the day is clipped to the month's length. -#}
{% macro months_after(date, months) %}
    {{- return(adapter.dispatch('months_after', 'credit_risk')(date, months)) -}}
{% endmacro %}

{% macro default__months_after(date, months) -%}
    cast({{ date }} + to_months(cast({{ months }} as integer)) as date)
{%- endmacro %}

{% macro snowflake__months_after(date, months) -%}
    cast(add_months({{ date }}, {{ months }}) as date)
{%- endmacro %}
