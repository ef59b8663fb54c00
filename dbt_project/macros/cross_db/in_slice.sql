{#-
  Holds for every row, except on an engine of one machine, which builds a large table slice by slice: there it holds for
  one slice at a time, chosen by the hash of `column` among the rows of `relation` (see duckdb__create_table_as).
-#}
{% macro in_slice(column, relation) -%}
    'slice of {{ column }} among {{ relation }}' is not null
{%- endmacro %}

{#-
  Windows and joins over all months of all loans at once need more memory than one machine has: 5M loans, 95M months,
  20 GB and more. A model that says `in_slice` is made in slices of `loans_per_slice`, all in the transaction of the model.
-#}
{% macro duckdb__create_table_as(
    temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none
) -%}
    {%- set mark = "'slice of ([\\w.]+) among ([^']+)' is not null" -%}
    {%- set found = modules.re.search(mark, compiled_code) if language == 'sql' else none -%}
    {%- set slices = slices_of(found.group(2)) if found else 1 -%}
    {%- set whole = dbt.duckdb__create_table_as -%}
    {%- if slices == 1 -%}
        {{ whole(temporary, relation, compiled_code, language, partitioned_by, sorted_by) }}
    {%- else -%}
        {%- for slice in range(slices) -%}
            {%- set part = modules.re.sub(mark, 'hash(\\1) % ' ~ slices ~ ' = ' ~ slice, compiled_code) -%}
            {%- if loop.first -%}
                {{ whole(temporary, relation, part, language, partitioned_by, sorted_by) }}
            {%- else -%}
                insert into {{ relation.include(database=(not temporary), schema=(not temporary)) }} {{ part }};
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro slices_of(relation) -%}
    {%- if '__dbt__' in relation -%}
        {{ return(1) }} {#- the rows of a unit test, which stand in the statement itself -#}
    {%- endif -%}
    {%- set rows = run_query('select count(*) from ' ~ relation).columns[0].values()[0] -%}
    {{ return([1, (rows / var('loans_per_slice')) | round(0, 'ceil') | int] | max) }}
{%- endmacro %}
