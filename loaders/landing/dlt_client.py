"""dlt's client of the warehouse, with our connections."""

from typing import Any

import psycopg2  # type: ignore[import-untyped]
from dlt.common.configuration import configspec
from dlt.destinations.impl.postgres.configuration import (
    PostgresClientConfiguration,
    PostgresCredentials,
)
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from psycopg.conninfo import make_conninfo

from loaders.warehouse import turns
from quotemill.warehouse.connections import set_up_session, take_unbroken
from quotemill.warehouse.postgres import Warehouse


@configspec(init=False)
class LandingCredentials(PostgresCredentials):
    def to_native_representation(self) -> str:
        # dlt renders a URL by SQLAlchemy, whose spaces (of a password, of options) libpq misreads
        own: dict[str, Any] = {"host": self.host, "port": self.port, "dbname": self.database}
        own |= {"user": self.username, "password": self.password}
        return make_conninfo("", **own | self.get_query())


@configspec
class LandingConfiguration(PostgresClientConfiguration):
    credentials: LandingCredentials = None  # type: ignore[assignment]  # dlt fills it in
    content: str = ""  # of the warehouse that they are fetched for


class _Session(Psycopg2SqlClient):
    """dlt's connection, with a session like all of ours."""

    def open_connection(self) -> Any:
        # dlt's own asks for a search path by an option that poolers refuse, and needs none
        self._conn = psycopg2.connect(self.credentials.to_native_representation())
        self._reset_connection()
        return self._conn

    def _reset_connection(self) -> None:
        super()._reset_connection()
        set_up_session(self._conn)


class KeptClient(PostgresClient):
    """dlt's client of a package, whose connection stays open for those that follow."""

    warehouse: Warehouse
    early: Any = None
    connects = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        client = self.sql_client
        self.sql_client = _Session(
            client.dataset_name,
            client.staging_dataset_name,
            client.credentials,
            client.capabilities,
        )

    def __enter__(self) -> "KeptClient":
        if not self.connects:
            return self
        if idle := take_unbroken(self._idle(), lambda client: client.native_connection):
            self.sql_client = idle
        else:
            self.sql_client.open_connection()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None and self.connects and self.warehouse.pool:
            self._idle().append(self.sql_client)
        else:
            self.sql_client.close_connection()

    def _idle(self) -> list[Any]:
        pool = self.warehouse.pool
        return pool.dlt_clients[self.sql_client.dataset_name] if pool else []

    def is_storage_initialized(self) -> bool:
        return True  # the schema was made with its tables

    def _execute_schema_update_sql(self, *args: Any, **kwargs: Any) -> Any:
        # in its transaction: two first packages that make the same table at once break each other
        self.sql_client.execute_sql(
            turns.TAKE_ROW, name=f"quotemill:dlt:{self.sql_client.dataset_name}"
        )
        return super()._execute_schema_update_sql(*args, **kwargs)
