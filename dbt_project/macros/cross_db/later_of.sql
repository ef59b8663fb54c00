{#- The later of two dates that are both known; greatest() treats nulls differently from engine to engine. -#}
{% macro later_of(one, other) -%}
    case when {{ one }} >= {{ other }} then {{ one }} else {{ other }} end
{%- endmacro %}
