import { Injectable, Logger, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, type QueryResultRow } from 'pg';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS notes (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author     text NOT NULL,
    message    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE IF NOT EXISTS visits (
    page  text PRIMARY KEY,
    count integer NOT NULL
  );`;

const GIVE_UP_AFTER_MS = 30_000;

/** The connection pool. The application listens only once the schema is there. */
@Injectable()
export class Database implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(Database.name);
  private readonly pool: Pool;

  constructor() {
    const connectionString = process.env.DATABASE_URL;
    if (!connectionString) {
      throw new Error('DATABASE_URL is not set, for example postgresql://user:password@localhost:5432/guest_book');
    }
    this.pool = new Pool({ connectionString, max: 5, connectionTimeoutMillis: 2_000, query_timeout: 5_000 });
    // Without a listener, a database that restarts would end the process; the pool just connects anew.
    this.pool.on('error', (error) => this.logger.warn(`lost an idle connection: ${error.message}`));
  }

  /** Creates the tables, and waits for a database that is still starting. */
  async onModuleInit(): Promise<void> {
    const deadline = Date.now() + GIVE_UP_AFTER_MS;
    for (let pause = 50; ; pause = Math.min(pause * 2, 1_000)) {
      try {
        await this.pool.query(SCHEMA);
        return;
      } catch (error) {
        if (Date.now() + pause > deadline) throw error;
        this.logger.warn(`the database is not ready: ${(error as Error).message}`);
        await sleep(pause);
      }
    }
  }

  /** Runs after the last request was answered. */
  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }

  async query<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, values)).rows;
  }
}
