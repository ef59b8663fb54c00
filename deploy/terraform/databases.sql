-- What ../compose/databases.sh does, for RDS, whose administrator is no superuser. Once, with psql as that administrator:
--   psql "host=127.0.0.1 port=5432 user=administrator dbname=postgres sslmode=require" --file databases.sql
-- \password asks for the password and sends only its SCRAM verifier, so no log of the server's has it.
\set ON_ERROR_STOP on
create role dagster login;
\password dagster
grant dagster to current_user;
create database dagster owner dagster;

create role mlflow login;
\password mlflow
grant mlflow to current_user;
create database mlflow owner mlflow;
