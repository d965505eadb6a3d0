import { Body, Controller, Get, Post } from '@nestjs/common';
import { GuestBook, type Note } from './guest-book';

@Controller('api/notes')
export class NotesController {
  constructor(private readonly guestBook: GuestBook) {}

  @Get()
  list(): Promise<Note[]> {
    return this.guestBook.latest();
  }

  @Post()
  create(@Body() body: unknown): Promise<Note> {
    return this.guestBook.sign(body);
  }
}
