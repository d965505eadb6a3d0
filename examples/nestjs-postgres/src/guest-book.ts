import { BadRequestException, Injectable } from '@nestjs/common';
import { Database } from './database';

export interface Note {
  id: number;
  author: string;
  message: string;
  createdAt: Date;
}

const COLUMNS = 'id, author, message, created_at AS "createdAt"';

/** What the guest book remembers: notes that people leave, and how often the page was opened. */
@Injectable()
export class GuestBook {
  constructor(private readonly database: Database) {}

  latest(limit = 20): Promise<Note[]> {
    return this.database.query<Note>(`SELECT ${COLUMNS} FROM notes ORDER BY id DESC LIMIT $1`, [limit]);
  }

  /** Takes what a browser or an API client sent, whatever it is; throws a 400 that says what is wrong. */
  async sign(body: unknown): Promise<Note> {
    const { author, message } = (body ?? {}) as Record<string, unknown>;
    const [note] = await this.database.query<Note>(
      `INSERT INTO notes (author, message) VALUES ($1, $2) RETURNING ${COLUMNS}`,
      [oneLine('author', author, 40) || 'Somebody', required('message', oneLine('message', message, 280))],
    );
    return note;
  }

  async countVisit(page: string): Promise<number> {
    const [visit] = await this.database.query<{ count: number }>(
      `INSERT INTO visits (page, count) VALUES ($1, 1)
       ON CONFLICT (page) DO UPDATE SET count = visits.count + 1 RETURNING count`,
      [page],
    );
    return visit.count;
  }
}

function oneLine(field: string, value: unknown = '', limit: number): string {
  if (typeof value !== 'string') throw new BadRequestException(`${field} must be a text`);
  const line = value.replace(/[\p{Cc}\s]+/gu, ' ').trim();
  if (line.length > limit) throw new BadRequestException(`${field} has more than ${limit} characters`);
  return line;
}

function required(field: string, value: string): string {
  if (value === '') throw new BadRequestException(`${field} must not be empty`);
  return value;
}
