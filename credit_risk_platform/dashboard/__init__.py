"""The dashboard: what analysts open. Pages over the marts, read-only."""
