{#-
  A join with one row per month end from `first` to `last` (both month ends), none where `first` lies after `last`.
  `month_of_spine(alias, first)` is the month end itself.
-#}
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

{#- The plain lateral form: a table function below a correlated subquery is not sure to be planned. -#}
{% macro snowflake__month_spine(first, last, alias) -%}
    cross join lateral flatten(
        input => array_generate_range(0, datediff('month', {{ first }}, {{ last }}) + 1)
    ) as {{ alias }}
{%- endmacro %}

{% macro month_of_spine(alias, first) %}
    {{- return(adapter.dispatch('month_of_spine', 'credit_risk')(alias, first)) -}}
{% endmacro %}

{% macro default__month_of_spine(alias, first) -%}
    {{ alias }}.month_end
{%- endmacro %}

{% macro snowflake__month_of_spine(alias, first) -%}
    last_day(dateadd('month', cast({{ alias }}.value as integer), date_trunc('month', {{ first }})))
{%- endmacro %}
