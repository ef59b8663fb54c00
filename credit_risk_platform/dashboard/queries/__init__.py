"""SQL of the pages, one module for each. `{where}` is the filter bar's predicate; values are bound, never pasted."""
