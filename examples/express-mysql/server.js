// Notes in MySQL, and the number of visits in Redis, served by Express: one file, no build step.
import express from 'express';
import { Redis } from 'ioredis';
import mysql from 'mysql2/promise';
import { GREETING } from './greeting.js';

const database = mysql.createPool({ uri: process.env.DATABASE_URL, connectionLimit: 5 });
const redis = new Redis(process.env.REDIS_URL);
// Told once by each request that needs it; without a listener it would end the process.
redis.on('error', (error) => console.error(error.message));

await database.query('CREATE TABLE IF NOT EXISTS notes (id INT AUTO_INCREMENT PRIMARY KEY, message VARCHAR(280) NOT NULL)');

const app = express();
app.use(express.json({ limit: '10kb' }));

app.get('/', async (_request, response) => {
  const { PREVIEW_PR_NUMBER: number, PREVIEW_COMMIT_SHA: commit } = process.env;
  const where = number ? `pull request #${number} at ${commit?.slice(0, 7)}` : 'not in a preview';
  const visits = await redis.incr('visits');
  const [[{ notes }]] = await database.query('SELECT COUNT(*) AS notes FROM notes');
  response.type('text').send(`${GREETING}\n${where}\nvisit ${visits}, ${notes} notes: GET and POST api/notes\n`);
});

app.get('/health', async (_request, response) => {
  await Promise.all([database.query('SELECT 1'), redis.ping()]);
  response.json({ status: 'ok' });
});

app.get('/api/notes', async (_request, response) => {
  const [notes] = await database.query('SELECT id, message FROM notes ORDER BY id');
  response.json(notes);
});

app.post('/api/notes', async (request, response) => {
  const message = request.body?.message;
  if (typeof message !== 'string' || message.trim() === '' || message.length > 280) {
    response.status(400).json({ error: 'message must be a text of 1 to 280 characters' });
    return;
  }
  const [{ insertId: id }] = await database.execute('INSERT INTO notes (message) VALUES (?)', [message.trim()]);
  response.status(201).json({ id, message: message.trim() });
});

const server = app.listen(process.env.PORT || 3000, () => console.log(`listening on port ${server.address().port}`));
// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
server.keepAliveTimeout = 75_000;
// Docker asks a container to stop by SIGTERM: what is under way is answered first.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
