{#-
  A source without repayments may still publish how late a loan is, to within a bracket: its fewest and its most days
  past due. Null for a loan that has left the book and for a status that says nothing of lateness.
-#}
{% macro published_days_past_due_from(loan_status) -%}
    case {{ loan_status }}
        when 'Current' then 0
        when 'In Grace Period' then 1
        when 'Late (16-30 days)' then 16
        when 'Late (31-120 days)' then 31
        when 'Default' then 121
    end
{%- endmacro %}

{% macro published_days_past_due_to(loan_status) -%}
    case {{ loan_status }}
        when 'Current' then 0
        when 'In Grace Period' then 15
        when 'Late (16-30 days)' then 30
        when 'Late (31-120 days)' then 120
        when 'Default' then 999999
    end
{%- endmacro %}
