"""The scoring API: a front door over `score()`. Never imports Dagster, training or MLflow."""
