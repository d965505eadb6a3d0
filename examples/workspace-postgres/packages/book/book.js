// Notes in PostgreSQL, for every server of the workspace.
import pg from 'pg';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS notes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message text NOT NULL
  )`;

export class Book {
  #database;

  constructor(database) {
    this.#database = database;
  }

  static async open(url) {
    const database = new pg.Pool({ connectionString: url, max: 5 });
    // An idle connection that breaks is replaced; without a listener it would end the process.
    database.on('error', (error) => console.error(error.message));
    await database.query(SCHEMA);
    return new Book(database);
  }

  async answers() {
    await this.#database.query('SELECT 1');
  }

  async notes() {
    return (await this.#database.query('SELECT id, message FROM notes ORDER BY id')).rows;
  }

  async count() {
    return Number((await this.#database.query('SELECT count(*) FROM notes')).rows[0].count);
  }

  async add(message) {
    const insert = 'INSERT INTO notes (message) VALUES ($1) RETURNING id, message';
    return (await this.#database.query(insert, [message])).rows[0];
  }

  async remove(id) {
    return (await this.#database.query('DELETE FROM notes WHERE id = $1', [id])).rowCount > 0;
  }

  async close() {
    await this.#database.end();
  }
}
