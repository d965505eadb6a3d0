// The connection pool and the one table, for both programs.
import pg from 'pg';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS notes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message text NOT NULL,
    words integer -- once the worker has counted them
  )`;
// Both programs may come first: one at a time makes the table.
const ONE_AT_A_TIME = 'SELECT pg_advisory_xact_lock(1)';

export const database = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
// An idle connection that breaks is replaced; without a listener it would end the process.
database.on('error', (error) => console.error(error.message));

export async function makeTable() {
  await database.query(`BEGIN; ${ONE_AT_A_TIME}; ${SCHEMA}; COMMIT`);
}
