{#- True where `column` holds a match of the regular expression anywhere. -#}
{% macro matches(column, pattern) %}
    {{- return(adapter.dispatch('matches', 'credit_risk')(column, pattern)) -}}
{% endmacro %}

{% macro default__matches(column, pattern) -%}
    regexp_matches({{ column }}, '{{ pattern }}')
{%- endmacro %}

{% macro snowflake__matches(column, pattern) -%}
    regexp_instr({{ column }}, '{{ pattern }}') > 0
{%- endmacro %}
