"""The connection pool and the two tables. The application listens only once they are there."""

import asyncio

import asyncpg

SCHEMA = """
    CREATE TABLE IF NOT EXISTS notes (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS visits (page text PRIMARY KEY, count integer NOT NULL);
"""

COUNT_VISIT = """
    INSERT INTO visits (page, count) VALUES ($1, 1)
    ON CONFLICT (page) DO UPDATE SET count = visits.count + 1 RETURNING count
"""

# For how many seconds a database that is still starting is waited for.
PATIENCE = 30


class Database:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, url: str) -> "Database":
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    pool = await asyncpg.create_pool(url, min_size=1, max_size=5, command_timeout=5)
                    break
                except (OSError, asyncpg.CannotConnectNowError):
                    await asyncio.sleep(0.2)
        await pool.execute(SCHEMA)
        return cls(pool)

    async def close(self) -> None:
        await self.pool.close()

    async def rows(self, query: str, *values: object) -> list[dict]:
        return [dict(row) for row in await self.pool.fetch(query, *values)]

    async def count_visit(self, page: str) -> int:
        return await self.pool.fetchval(COUNT_VISIT, page)
