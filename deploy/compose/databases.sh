#!/usr/bin/env bash
# Run once by PostgreSQL's image, on an empty volume: the databases of Dagster and MLflow, each with its owner.
set -euo pipefail
psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 \
  --set dagster="$(cat /run/secrets/dagster_password)" --set mlflow="$(cat /run/secrets/mlflow_password)" <<'SQL'
create role dagster login password :'dagster';
create database dagster owner dagster;
create role mlflow login password :'mlflow';
create database mlflow owner mlflow;
SQL
