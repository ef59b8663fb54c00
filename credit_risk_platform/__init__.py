"""Credit risk on one asset graph: loan data in, governed scores out, every number traceable.

Floors, lowest first (imports go down only, import-linter holds it): `domain`, `adapters`,
`catalog` and `resources`, `defs`, then the front doors `definitions` and `cli`.
"""
