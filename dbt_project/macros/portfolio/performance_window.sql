{#-
  Months on book in which a default counts. CRP_PERFORMANCE_WINDOW_MONTHS when set (say 12), else the loan's own
  contractual term, so that 36- and 60-month loans are each judged over their whole life.
-#}
{% macro performance_window_months(term_months) -%}
    {%- set window = env_var('CRP_PERFORMANCE_WINDOW_MONTHS', '') | trim -%}
    {{ window if window else term_months }}
{%- endmacro %}

{#- True where a default on `default_date` belongs to the performance window of a loan issued in `issue_month`. -#}
{% macro defaulted_in_window(default_date, issue_month) -%}
    {%- set window = env_var('CRP_PERFORMANCE_WINDOW_MONTHS', '') | trim -%}
    {%- if window -%}
    coalesce({{ default_date }} <= {{ months_after(issue_month, window) }}, false)
    {%- else -%}
    {{ default_date }} is not null
    {%- endif -%}
{%- endmacro %}
