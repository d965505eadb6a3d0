// What visitors reach: notes as JSON. Where they are kept, another package of the workspace knows.
import { Book } from '@example/book';
import express from 'express';
import { GREETING } from './greeting.js';

const book = await Book.open(process.env.DATABASE_URL);
const app = express();
app.use(express.json({ limit: '10kb' }));

app.get('/', async (_request, response) => {
  const { PREVIEW_PR_NUMBER: number, PREVIEW_BRANCH: branch, PREVIEW_COMMIT_SHA: commit } = process.env;
  const where = number ? `pull request #${number} (${branch}) at ${commit?.slice(0, 7)}` : 'not in a preview';
  response.type('text').send(`${GREETING}\n${where}\n${await book.count()} notes: GET and POST api/notes\n`);
});

app.get('/health', async (_request, response) => {
  await book.answers();
  response.json({ status: 'ok' });
});

app.get('/api/notes', async (_request, response) => response.json(await book.notes()));

app.post('/api/notes', async (request, response) => {
  const message = request.body?.message;
  if (typeof message !== 'string' || message.trim() === '' || message.length > 280) {
    response.status(400).json({ error: 'message must be a text of 1 to 280 characters' });
    return;
  }
  response.status(201).json(await book.add(message.trim()));
});

const server = app.listen(process.env.PORT || 3000, () => console.log(`listening on port ${server.address().port}`));
// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
server.keepAliveTimeout = 75_000;
// Docker asks a container to stop by SIGTERM: what is under way is answered first.
process.on('SIGTERM', () => server.close(() => book.close().finally(() => process.exit(0))));
