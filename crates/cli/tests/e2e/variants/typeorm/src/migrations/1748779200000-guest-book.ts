import type { MigrationInterface, QueryRunner } from 'typeorm';

export class GuestBook1748779200000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE notes (
        id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        author     text NOT NULL,
        message    text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
    await queryRunner.query('CREATE TABLE visits (page text PRIMARY KEY, count integer NOT NULL)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE visits, notes');
  }
}
