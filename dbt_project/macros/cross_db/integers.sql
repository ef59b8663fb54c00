{#- A query with one row per integer from `first` to `last`, column `age`. -#}
{% macro integers(first, last) -%}
    select column1 as age
    from (
        values
        {%- for number in range(first, last + 1) %} ({{ number }}){{ "," if not loop.last }}{% endfor %}
    ) as numbers (column1)
{%- endmacro %}
