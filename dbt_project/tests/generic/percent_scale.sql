{#-
  Ratios that are still percent points, or were divided twice: half of the book stands above `high` or below `low`.
  A single 1.4 is a customer over the limit; a median of 13.99 is a file in the wrong unit. columns: list of
  {column, low, high} for the median.
-#}
{% test percent_scale(model, columns) %}
{% for each in columns -%}
select
    '{{ each.column }}' as column_name,
    median({{ each.column }}) as value,
    'the median should lie between {{ each.low }} and {{ each.high }}: percent points or a ratio divided twice?' as reason
from {{ model }}
having median({{ each.column }}) not between {{ each.low }} and {{ each.high }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
