{#- True for a value outside {column, min, max}; either end may be left out. -#}
{% macro outside_range(range) -%}
    {%- set conditions = [] -%}
    {%- if range.get('min') is not none -%}{%- do conditions.append(range.column ~ ' < ' ~ range.min) -%}{%- endif -%}
    {%- if range.get('max') is not none -%}{%- do conditions.append(range.column ~ ' > ' ~ range.max) -%}{%- endif -%}
    {{ conditions | join(' or ') }}
{%- endmacro %}
