import { Module } from '@nestjs/common';
import { Database } from './database';
import { GuestBook } from './guest-book';
import { HealthController } from './health.controller';
import { NotesController } from './notes.controller';
import { PageController } from './page.controller';

@Module({
  controllers: [HealthController, NotesController, PageController],
  providers: [Database, GuestBook],
})
export class AppModule {}
