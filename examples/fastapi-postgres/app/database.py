"""The connection pool and the two tables. The application listens only once they are there."""

import os

from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

SCHEMA = """
    CREATE TABLE IF NOT EXISTS notes (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS visits (page text PRIMARY KEY, count integer NOT NULL);
"""

COUNT_VISIT = """
    INSERT INTO visits (page, count) VALUES (%s, 1)
    ON CONFLICT (page) DO UPDATE SET count = visits.count + 1 RETURNING count
"""


class Database:
    def __init__(self) -> None:
        self.pool = AsyncConnectionPool(
            os.environ["DATABASE_URL"], min_size=1, max_size=5, open=False, kwargs={"row_factory": dict_row}
        )

    async def open(self) -> None:
        """Waits for a database that is still starting, and makes the tables."""
        await self.pool.open(wait=True, timeout=30)
        async with self.pool.connection() as connection:
            await connection.execute(SCHEMA)

    async def close(self) -> None:
        await self.pool.close()

    async def rows(self, query: str, *values: object) -> list[dict]:
        async with self.pool.connection(timeout=5) as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def count_visit(self, page: str) -> int:
        [visit] = await self.rows(COUNT_VISIT, page)
        return visit["count"]
