// Notes in memory, served by Express: one file, no build step.
import express from 'express';
import { GREETING } from './greeting.js';

const app = express();
const notes = [];

app.use(express.json({ limit: '10kb' }));

app.get('/', (_request, response) => {
  const { PREVIEW_PR_NUMBER: number, PREVIEW_COMMIT_SHA: commit } = process.env;
  const where = number ? `pull request #${number} at ${commit?.slice(0, 7)}` : 'not in a preview';
  response.type('text').send(`${GREETING}\n${where}\n${notes.length} notes: GET and POST api/notes\n`);
});

app.get('/health', (_request, response) => response.json({ status: 'ok' }));

app.get('/api/notes', (_request, response) => response.json(notes));

app.post('/api/notes', (request, response) => {
  const message = request.body?.message;
  if (typeof message !== 'string' || message.trim() === '' || message.length > 280) {
    response.status(400).json({ error: 'message must be a text of 1 to 280 characters' });
    return;
  }
  const note = { id: notes.length + 1, message: message.trim() };
  notes.push(note);
  response.status(201).json(note);
});

const server = app.listen(process.env.PORT || 3000, () => console.log(`listening on port ${server.address().port}`));
// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
server.keepAliveTimeout = 75_000;
// Docker asks a container to stop by SIGTERM: what is under way is answered first.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
