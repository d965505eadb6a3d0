// A server of one file; what it says comes from another package of the workspace.
import { GREETING, whereabouts } from '@example/greeting';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const app = new Hono();

app.get('/', (context) => context.text(`${GREETING}\n${whereabouts(process.env)}\n`));

app.get('/health', (context) => context.json({ status: 'ok' }));

const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) =>
  console.log(`listening on port ${port}`),
);
// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
if ('keepAliveTimeout' in server) server.keepAliveTimeout = 75_000;
// Docker asks a container to stop by SIGTERM: what is under way is answered first.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
