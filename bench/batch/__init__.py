"""The whole batch flow against a bare script, pandas and local PySpark, side by side in one run."""
