export default {
  development: {
    client: 'better-sqlite3',
    connection: { filename: './dev.sqlite3' },
  },
  production: {
    client: 'mysql2',
    connection: process.env.DATABASE_URL,
    migrations: { tableName: 'knex_migrations' },
  },
};
