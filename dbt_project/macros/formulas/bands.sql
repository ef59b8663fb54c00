{#-
  The label of the band a value falls into. `bands` is a list of {label, lower} from dbt_project.yml, lowest first;
  a lower edge belongs to its band. A value below the first edge has no band.
-#}
{% macro band_of(column, bands) -%}
    case
        {%- for band in bands | reverse %}
        when {{ column }} >= {{ band.lower }} then '{{ band.label }}'
        {%- endfor %}
    end
{%- endmacro %}
