// Notes in PostgreSQL, by nothing but Node.js and a driver.
import { createServer } from 'node:http';
import { database, makeTable } from './database.js';
import { GREETING } from './greeting.js';

const LARGEST_BODY = 10_000;

async function page() {
  const { PREVIEW_PR_NUMBER: number, PREVIEW_BRANCH: branch, PREVIEW_COMMIT_SHA: commit } = process.env;
  const where = number ? `pull request #${number} (${branch}) at ${commit?.slice(0, 7)}` : 'not in a preview';
  const { rows } = await database.query('SELECT count(*) AS notes, coalesce(sum(words), 0) AS words FROM notes');
  const [{ notes, words }] = rows;
  return [200, `${GREETING}\n${where}\n${notes} notes: GET and POST api/notes\nwords that the worker has counted: ${words}\n`];
}

async function health() {
  await database.query('SELECT 1');
  return [200, { status: 'ok' }];
}

async function notes() {
  const { rows } = await database.query('SELECT id, message, words FROM notes ORDER BY id');
  return [200, rows];
}

async function addNote(request) {
  const message = (await sent(request))?.message;
  if (typeof message !== 'string' || message.trim() === '' || message.length > 280) {
    return [400, { error: 'message must be a text of 1 to 280 characters' }];
  }
  const insert = 'INSERT INTO notes (message) VALUES ($1) RETURNING id, message';
  const { rows } = await database.query(insert, [message.trim()]);
  return [201, rows[0]];
}

/** The JSON that was sent; nothing where it is none. */
async function sent(request) {
  let text = '';
  for await (const piece of request.setEncoding('utf8')) {
    text += piece;
    if (text.length > LARGEST_BODY) return undefined;
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const ROUTES = { 'GET /': page, 'GET /health': health, 'GET /api/notes': notes, 'POST /api/notes': addNote };

async function answer(request) {
  const route = ROUTES[`${request.method} ${request.url.split('?')[0]}`];
  if (!route) return [404, { error: 'there is nothing here' }];
  try {
    return await route(request);
  } catch (error) {
    console.error(error);
    return [503, { error: 'the database does not answer' }];
  }
}

await makeTable();
const server = createServer(async (request, response) => {
  const [status, body] = await answer(request);
  const [type, text] = typeof body === 'string' ? ['text/plain', body] : ['application/json', JSON.stringify(body)];
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(text);
});
server.listen(process.env.PORT || 3000, () => console.log(`listening on port ${server.address().port}`));
// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
server.keepAliveTimeout = 75_000;
// Docker asks a container to stop by SIGTERM: what is under way is answered first.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
