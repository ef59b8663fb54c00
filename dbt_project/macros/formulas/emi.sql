{#-
  Equated monthly instalment of an annuity: P r / (1 - (1 + r)^-n) with r = annual rate / 12.
  `annual_rate` is a ratio (0.1399). Golden: 3,600 at 13.99 % over 36 months is 123.02 (LendingClub billed 123.03).
-#}
{% macro emi(principal, annual_rate, months) -%}
    case
        when {{ months }} <= 0 then null
        when {{ annual_rate }} = 0 then cast({{ principal }} as double) / {{ months }}
        else
            cast({{ principal }} as double) * (cast({{ annual_rate }} as double) / 12.0)
            / (1.0 - power(1.0 + cast({{ annual_rate }} as double) / 12.0, -cast({{ months }} as double)))
    end
{%- endmacro %}
