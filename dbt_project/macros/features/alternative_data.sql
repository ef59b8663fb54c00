{#- Whether cash-flow features are inputs of the application mart (setting `alternative_data`). -#}
{% macro alternative_data() %}
    {{- return(env_var('CRP_ALTERNATIVE_DATA', 'False') | lower == 'true') -}}
{% endmacro %}

{#- Further columns of the application mart; nothing while the switch is off. -#}
{% macro cashflow_columns() -%}
    {%- if alternative_data() %}

        -- alternative data: missing where nothing is known of the customer's bank accounts
        cashflow.cf_months_of_history,
        cashflow.cf_monthly_income,
        cashflow.cf_income_cv,
        cashflow.cf_income_month_share,
        cashflow.cf_nsf_count_12m,
        cashflow.cf_negative_days_12m,
        cashflow.cf_outflow_to_inflow,
    {%- endif -%}
{%- endmacro %}

{#- Where they come from; nothing while the switch is off, and no edge in the graph. -#}
{% macro cashflow_join() -%}
    {%- if alternative_data() %}
    left join {{ ref('cashflow_features') }} as cashflow
        on burdens.subject_token = cashflow.subject_token and burdens.decision_date = cashflow.as_of_date
    {%- endif -%}
{%- endmacro %}
