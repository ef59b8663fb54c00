{#- How many entries a list column holds; 0 where there is none. -#}
{% macro entries(column) %}
    {{- return(adapter.dispatch('entries', 'credit_risk')(column)) -}}
{% endmacro %}

{% macro default__entries(column) -%}
    coalesce(len({{ column }}), 0)
{%- endmacro %}

{% macro snowflake__entries(column) -%}
    coalesce(array_size({{ column }}), 0)
{%- endmacro %}
