"""The one row that all writers update first: it takes Snowflake's lock, and it numbers the states of the warehouse."""

STATE = "monitoring.writer_state"
"""Column VERSION: the number of the last transaction that was committed."""
