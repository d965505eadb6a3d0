import { Body, Controller, Get, Header, HttpStatus, Post, Redirect } from '@nestjs/common';
import { GREETING } from './greeting';
import { GuestBook } from './guest-book';
import { renderPage } from './page';

@Controller()
export class PageController {
  constructor(private readonly guestBook: GuestBook) {}

  @Get()
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Cache-Control', 'no-store')
  async show(): Promise<string> {
    const [visits, notes] = await Promise.all([this.guestBook.countVisit('home'), this.guestBook.latest()]);
    return renderPage({
      greeting: GREETING,
      visits,
      notes,
      pullRequest: process.env.PREVIEW_PR_NUMBER,
      branch: process.env.PREVIEW_BRANCH,
      commit: process.env.PREVIEW_COMMIT_SHA,
    });
  }

  /** The form's target. The redirect is relative, so that the page also works under a path prefix. */
  @Post()
  @Redirect('./', HttpStatus.SEE_OTHER)
  async sign(@Body() body: unknown): Promise<void> {
    await this.guestBook.sign(body);
  }
}
