{#- The known values of a group as one text, ', ' between them, in the order of `order_by`; null when there are none. -#}
{% macro text_list(value, order_by, separator=', ') %}
    {{- return(adapter.dispatch('text_list', 'credit_risk')(value, order_by, separator)) -}}
{% endmacro %}

{% macro default__text_list(value, order_by, separator) -%}
    string_agg({{ value }}, '{{ separator }}' order by {{ order_by }})
{%- endmacro %}

{#- Of no values Snowflake makes an empty text. -#}
{% macro snowflake__text_list(value, order_by, separator) -%}
    nullif(listagg({{ value }}, '{{ separator }}') within group (order by {{ order_by }}), '')
{%- endmacro %}
