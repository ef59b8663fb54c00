{#- Percent points as published (13.99) to a ratio (0.1399), rounded so that it is the number one would write. -#}
{% macro ratio_of_percent(column) -%}
    round(cast({{ column }} as double) / 100.0, 8)
{%- endmacro %}

{#- A ratio that is null, never infinite, where its denominator is missing, zero or negative. -#}
{% macro ratio(numerator, denominator) -%}
    case
        when {{ denominator }} > 0
            then cast({{ numerator }} as double) / cast({{ denominator }} as double)
    end
{%- endmacro %}

{#- A truth value as 1.0 or 0.0, which is how models read flags; unknown counts as 0.0. -#}
{% macro flag(condition) -%}
    case when {{ condition }} then cast(1.0 as double) else cast(0.0 as double) end
{%- endmacro %}
