{#- LendingClub's employment length as years: "< 1 year" is 0, "10+ years" is 10, "n/a" is unknown. -#}
{% macro employment_years(column) -%}
    case
        when {{ column }} like '<%' then 0
        when {{ column }} like '10+%' then 10
        else try_cast(split_part({{ column }}, ' ', 1) as integer)
    end
{%- endmacro %}
