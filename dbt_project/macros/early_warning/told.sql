{#- `name=value` as evidence shows it, the same text on every engine; what is missing says so. -#}
{% macro told(name, value, digits=4) -%}
    '{{ name }}=' || coalesce(cast(cast({{ value }} as decimal(18, {{ digits }})) as varchar), 'unknown')
{%- endmacro %}
