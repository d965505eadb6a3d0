import { integer, pgTable, varchar } from 'drizzle-orm/pg-core';

export const notes = pgTable('notes', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  message: varchar({ length: 280 }).notNull(),
});
