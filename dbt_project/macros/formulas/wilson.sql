{#-
  One side ('low' or 'high') of the 95 % interval of a share of `trials` (Wilson 1927), which stays between 0 and 1
  and says something of no successes, too. Null where nothing was tried. Doubles throughout: Snowflake divides whole
  numbers to a few decimals.
-#}
{% macro wilson(share, trials, side) -%}
    {%- set z = 1.959963984540054 -%}
    {%- set n = 'cast(' ~ trials ~ ' as double)' -%}
    case
        when {{ trials }} = 0 then null
        when {{ share }} = {{ 0 if side == 'low' else 1 }} then {{ share }}
        else (
            {{ share }} + {{ z * z / 2 }} / {{ n }}
            {{ '-' if side == 'low' else '+' }} {{ z }} * sqrt(
                {{ share }} * (1 - {{ share }}) / {{ n }} + {{ z * z / 4 }} / ({{ n }} * {{ n }})
            )
        ) / (1 + {{ z * z }} / {{ n }})
    end
{%- endmacro %}
