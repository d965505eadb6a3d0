// Counts the words of notes that nobody has counted yet, once a second.
import { setTimeout as pause } from 'node:timers/promises';
import { database, makeTable } from './database.js';

// Two workers never take the same notes.
const COUNT = `
  UPDATE notes SET words = array_length(regexp_split_to_array(message, '\\s+'), 1)
  WHERE id IN (SELECT id FROM notes WHERE words IS NULL LIMIT 100 FOR UPDATE SKIP LOCKED)`;

const asked = new AbortController();
// Docker asks a container to stop by SIGTERM: what is being counted is finished first.
process.on('SIGTERM', () => asked.abort());

await makeTable();
while (!asked.signal.aborted) {
  const counted = await database.query(COUNT).catch((error) => console.error(error.message));
  if (counted?.rowCount) console.log(`counted the words of ${counted.rowCount} notes`);
  await pause(1_000, undefined, { signal: asked.signal }).catch(() => {});
}
await database.end();
