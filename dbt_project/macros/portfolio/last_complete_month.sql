{#- The last month end on or before `date`. -#}
{% macro last_complete_month(date) -%}
    case
        when last_day({{ date }}) = {{ date }} then {{ date }}
        else last_day({{ months_after(date, -1) }})
    end
{%- endmacro %}
