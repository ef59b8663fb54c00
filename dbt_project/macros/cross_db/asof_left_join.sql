{#-
  Left join to the one row of `right` whose ordering column is nearest on the stated side.
  `match` is the ordering condition ("a.day >= b.valid_from"), `keys` an optional list of equality conditions.
-#}
{% macro asof_left_join(right, alias, match, keys=[]) %}
    {{- return(adapter.dispatch('asof_left_join', 'credit_risk')(right, alias, match, keys)) -}}
{% endmacro %}

{% macro default__asof_left_join(right, alias, match, keys) -%}
    asof left join {{ right }} as {{ alias }} on {{ (keys + [match]) | join(' and ') }}
{%- endmacro %}

{#- Snowflake's ASOF JOIN keeps unmatched left rows by itself. -#}
{% macro snowflake__asof_left_join(right, alias, match, keys) -%}
    asof join {{ right }} as {{ alias }} match_condition ({{ match }})
    {%- if keys %} on {{ keys | join(' and ') }}{% endif %}
{%- endmacro %}
