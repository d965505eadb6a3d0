// Notes in PostgreSQL by Drizzle, whose migrations make the table.
import 'dotenv/config';
import { drizzle } from 'drizzle-orm/node-postgres';
import express from 'express';
import { GREETING } from '../greeting.js';
import { notes } from './db/schema';

const db = drizzle(process.env.DATABASE_URL!);
const app = express();
app.use(express.json());

app.get('/', async (_request, response) => {
  response.type('text').send(`${GREETING}\n${await db.$count(notes)} notes\n`);
});

app.get('/health', (_request, response) => void response.json({ status: 'ok' }));

app.get('/api/notes', async (_request, response) => void response.json(await db.select().from(notes).orderBy(notes.id)));

app.post('/api/notes', async (request, response) => {
  const [note] = await db.insert(notes).values({ message: request.body.message }).returning();
  response.status(201).json(note);
});

app.listen(process.env.PORT || 3000);
