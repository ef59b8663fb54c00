{#-
  The states of a loan from month to month, mildest first: the buckets of days past due, then how a loan leaves the
  book. Ranks rise with the days past due; repaid stands apart, it is no worse than anything.
-#}
{% macro delinquency_states() -%}
    select
        column1 as state,
        column2 as severity,
        column3 as is_open
    from (
        values
        {%- for bucket in var('dpd_buckets') %}
        ('{{ bucket.label }}', {{ loop.index }}, true),
        {%- endfor %}
        ('Charged Off', {{ var('dpd_buckets') | length + 1 }}, false),
        ('Prepaid/Closed', 0, false)
    ) as states (column1, column2, column3)
{%- endmacro %}
