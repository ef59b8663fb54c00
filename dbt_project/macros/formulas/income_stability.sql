{#-
  How steady an income is, from 0 to 1: the weighted mean of what is known of
    0.5  years with the employer, capped at ten, divided by ten
    0.3  one minus the coefficient of variation of twelve months' income, floored at zero
    0.2  one minus job changes in five years, capped at five, divided by five
  Rises with employment length while the rest stays put. Null when nothing is known.
-#}
{% macro income_stability(years, variation, job_changes) -%}
    (
        0.5 * coalesce({{ capped_share(years, 10) }}, 0.0)
        + 0.3 * coalesce(1.0 - {{ capped_share(variation, 1) }}, 0.0)
        + 0.2 * coalesce(1.0 - {{ capped_share(job_changes, 5) }}, 0.0)
    )
    / nullif(
        case when {{ years }} is not null then 0.5 else 0.0 end
        + case when {{ variation }} is not null then 0.3 else 0.0 end
        + case when {{ job_changes }} is not null then 0.2 else 0.0 end,
        0.0
    )
{%- endmacro %}

{#- The value as a share of its cap, at most 1; unknown stays unknown (least() skips nulls on one engine only). -#}
{% macro capped_share(column, cap) -%}
    case when {{ column }} > {{ cap }} then 1.0 else cast({{ column }} as double) / {{ cap }}.0 end
{%- endmacro %}
