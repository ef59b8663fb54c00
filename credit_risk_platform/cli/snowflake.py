"""`crp snowflake`: make a Snowflake account ready for the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from credit_risk_platform.cli.command import command, console

if TYPE_CHECKING:
    from credit_risk_platform.settings import Settings

app = typer.Typer(help="The Snowflake target: roles, grants, schemas.", no_args_is_help=True)


@app.command()
def grants() -> None:
    """Print schemas, roles and grants as SQL, for whoever administers the account."""
    from credit_risk_platform.adapters.warehouse.snowflake_grants import script
    from credit_risk_platform.settings import Settings

    with command():
        settings = Settings()
        text = script(settings.snowflake_database, settings.snowflake_warehouse)
        console.print(text, end="", markup=False, soft_wrap=True)


@app.command()
def init(
    roles: Annotated[
        bool, typer.Option(help="Roles and grants too: SNOWFLAKE_ROLE must be allowed to make them.")
    ] = True,
) -> None:
    """Make database, schemas, tables that need an owner, roles and grants. Running it again changes nothing."""
    from credit_risk_platform.settings import Settings

    with command():
        done = run_init(Settings(), roles=roles)
        console.print(f"{done} statements: the account is ready. Next: crp doctor")


def run_init(settings: Settings, *, roles: bool) -> int:
    """How many statements were run. Raises `CommandError` with the one that Snowflake refused."""
    from snowflake.connector.errors import Error

    from credit_risk_platform.adapters.warehouse.snowflake_grants import schemas, statements, tables
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.resources import SnowflakeSettingsError, snowflake_connect

    database = settings.snowflake_database
    wanted = statements(database, settings.snowflake_warehouse) if roles else (*schemas(database), *tables(database))
    statement, done = "signing in", 0
    try:
        with snowflake_connect(settings)() as connection:
            for statement in wanted:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                done += 1
    except SnowflakeSettingsError as error:
        raise CommandError(str(error)) from error
    except Error as error:
        raise CommandError(
            f"Snowflake refused `{statement}`: {error.msg}. Use a role that may (SYSADMIN and SECURITYADMIN), or hand "
            "`crp snowflake grants` to somebody who has one."
        ) from error
    return done
