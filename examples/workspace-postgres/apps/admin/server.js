// The other server of the workspace, for those who keep the book: it takes notes out of it.
import { Book } from '@example/book';
import express from 'express';

const book = await Book.open(process.env.DATABASE_URL);
const app = express();

app.get('/health', async (_request, response) => {
  await book.answers();
  response.json({ status: 'ok' });
});

app.delete('/api/notes/:id', async (request, response) => {
  const removed = await book.remove(Number(request.params.id));
  response.status(removed ? 204 : 404).end();
});

const server = app.listen(process.env.PORT || 3001, () => console.log(`listening on port ${server.address().port}`));
server.keepAliveTimeout = 75_000;
process.on('SIGTERM', () => server.close(() => book.close().finally(() => process.exit(0))));
