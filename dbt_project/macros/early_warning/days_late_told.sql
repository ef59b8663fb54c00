{#- Days past due as evidence shows them: the days, or the bracket that the source publishes. -#}
{% macro days_late_told(loan) -%}
    {{ told('days_past_due', loan ~ '.days_past_due_from', 0) }}
    || case
        when {{ loan }}.observed_month is null and {{ loan }}.days_past_due_to is not null
            then ' to ' || cast({{ loan }}.days_past_due_to as varchar) || ' (published status)'
        else ''
    end
{%- endmacro %}
