{#-
  The staging relation of the one source that is the portfolio (CRP_PORTFOLIO_SOURCE): books are never mixed.
  All three are refs, so the graph has the same edges whichever is chosen.
-#}
{% macro active_loans() %}
    {%- set staged = {
        'synthetic': ref('stg_synthetic__loans'),
        'lending_club': ref('stg_lending_club__loans'),
        'landing': ref('stg_landing__loans'),
    } -%}
    {%- set source = env_var('CRP_PORTFOLIO_SOURCE', 'synthetic') -%}
    {%- if source not in staged -%}
        {{ exceptions.raise_compiler_error(
            "CRP_PORTFOLIO_SOURCE is '" ~ source ~ "'; choose one of " ~ (staged | list | join(', '))
        ) }}
    {%- endif -%}
    {{ return(staged[source]) }}
{% endmacro %}
