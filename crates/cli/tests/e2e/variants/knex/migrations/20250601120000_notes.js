export const up = (knex) =>
  knex.schema.createTable('notes', (table) => {
    table.increments('id');
    table.string('message', 280).notNullable();
  });

export const down = (knex) => knex.schema.dropTable('notes');
