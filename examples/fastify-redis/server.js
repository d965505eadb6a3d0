// A counter of visits and the newest notes in Redis, served by Fastify: one file, no build step, no database.
import Fastify from 'fastify';
import { createClient } from 'redis';
import { GREETING } from './greeting.js';

const redis = createClient({ url: process.env.REDIS_URL });
redis.on('error', (error) => console.error(error.message));
await redis.connect();

// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
const app = Fastify({ keepAliveTimeout: 75_000, bodyLimit: 10_000 });

app.get('/', async (_request, reply) => {
  const { PREVIEW_PR_NUMBER: number, PREVIEW_COMMIT_SHA: commit } = process.env;
  const where = number ? `pull request #${number} at ${commit?.slice(0, 7)}` : 'not in a preview';
  const visits = await redis.incr('visits');
  reply.type('text/plain');
  return `${GREETING}\n${where}\nvisit ${visits}: GET and POST api/notes\n`;
});

app.get('/health', async () => {
  await redis.ping();
  return { status: 'ok' };
});

app.get('/api/notes', async () => {
  const notes = await redis.lRange('notes', 0, 99);
  return notes.map((note) => JSON.parse(note));
});

const note = { type: 'object', required: ['message'], properties: { message: { type: 'string', minLength: 1, maxLength: 280 } } };
app.post('/api/notes', { schema: { body: note } }, async (request, reply) => {
  const id = await redis.incr('note');
  const saved = { id, message: request.body.message };
  await redis.rPush('notes', JSON.stringify(saved));
  reply.code(201);
  return saved;
});

await app.listen({ port: Number(process.env.PORT || 3000), host: '0.0.0.0' });
console.log(`listening on port ${app.server.address().port}`);
// Docker asks a container to stop by SIGTERM: what is under way is answered first.
process.on('SIGTERM', () => app.close().then(() => process.exit(0)));
