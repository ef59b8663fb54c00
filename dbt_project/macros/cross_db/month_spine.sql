{#- A lateral relation with one row per month end from `first` to `last` (both month ends), column `month_end`. -#}
{% macro month_spine(first, last, alias) %}
    {{- return(adapter.dispatch('month_spine', 'credit_risk')(first, last, alias)) -}}
{% endmacro %}

{% macro default__month_spine(first, last, alias) -%}
    cross join lateral (
        select last_day(cast(unnest(generate_series(
            date_trunc('month', {{ first }}), date_trunc('month', {{ last }}), interval 1 month
        )) as date)) as month_end
    ) as {{ alias }}
{%- endmacro %}

{% macro snowflake__month_spine(first, last, alias) -%}
    cross join lateral (
        select last_day(dateadd('month', step.value, date_trunc('month', {{ first }}))) as month_end
        from table(flatten(input => array_generate_range(
            0, datediff('month', {{ first }}, {{ last }}) + 1
        ))) as step
    ) as {{ alias }}
{%- endmacro %}
