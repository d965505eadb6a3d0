import { ConsoleLogger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AppModule } from './app.module';

// Escape sequences belong on a terminal, not into a container's log.
const logger = new ConsoleLogger({ colors: Boolean(process.stdout.isTTY) });

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger, abortOnError: false });

  // On SIGTERM: no new connections, finish the requests under way, close the database pool, exit 0.
  app.enableShutdownHooks(['SIGTERM', 'SIGINT'], { useProcessExit: true });

  const server = await app.listen(process.env.PORT ?? 3000, '0.0.0.0');

  // Idle connections outlive those of a reverse proxy (60 s is common), so that it never sends a request
  // into a connection that we close at that moment.
  server.keepAliveTimeout = 75_000;
  server.headersTimeout = 80_000;
}

bootstrap().catch((error: unknown) => {
  logger.error(`cannot start: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
});
