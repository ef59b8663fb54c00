"""A made-up loan book: people, bureau files, loans, repayments and the economy around them.

Belongs here: seeded draws and exact arithmetic on numpy arrays, one block of loans at a time.
Does not: files (`adapters.sources.synthetic`), real people's rows, the clock.

No row is copied or fitted from a real person. Shapes and value formats follow LendingClub's published columns, so that
one loader reads both.
"""
