{#-
  EW-01 over the columns of a relation and of a rule: true, false, or unknown where what is missing would settle it.
  The one definition: the watch list reads it for open loans, the KPIs for matured ones.
-#}
{% macro burdened_applicant(loan, rule) -%}
    ({{ loan }}.dti > {{ rule }}.dti_above or {{ loan }}.revolving_utilisation > {{ rule }}.utilisation_above)
    and (
        {{ loan }}.delinq_2y >= {{ rule }}.delinquencies_at_least
        or {{ loan }}.inquiries_6m >= {{ rule }}.inquiries_at_least
    )
{%- endmacro %}
