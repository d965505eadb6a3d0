import type { Note } from './guest-book';

export interface Page {
  greeting: string;
  visits: number;
  notes: Note[];
  pullRequest?: string;
  branch?: string;
  commit?: string;
}

/** The whole page, one request: no script, no asset, every link relative. */
export function renderPage(page: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Guest book</title>
  <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23e0234e'/%3E%3C/svg%3E">
  <style>${STYLE}</style>
</head>
<body>
  <main>
    <header>
      <p class="badges">${badges(page)}</p>
      <h1>${escape(page.greeting)}</h1>
      <p class="lead">You are visitor <strong>${page.visits.toLocaleString('en')}</strong> of this guest book.
        NestJS counted you, PostgreSQL remembers.</p>
    </header>
    <form method="post" action="./">
      <input name="author" maxlength="40" placeholder="Your name" aria-label="Your name" autocomplete="name">
      <input name="message" maxlength="280" placeholder="Leave a note" aria-label="Note" required>
      <button>Sign</button>
    </form>
    ${notes(page.notes)}
    <footer><a href="api/notes">Notes as JSON</a> <a href="health">Health</a></footer>
  </main>
</body>
</html>
`;
}

function badges({ pullRequest, branch, commit }: Page): string {
  const texts = [
    pullRequest ? `Pull request #${pullRequest}` : 'No pull request: running on its own',
    branch,
    commit?.slice(0, 7),
  ];
  return texts
    .filter((text) => text)
    .map((text) => `<span>${escape(text!)}</span>`)
    .join(' ');
}

function notes(notes: Note[]): string {
  if (notes.length === 0) return '<p class="empty">Nobody has signed yet. Be the first!</p>';
  const items = notes.map(
    ({ author, message, createdAt }) => `<li>
        <p>${escape(message)}</p>
        <small>${escape(author)} · <time datetime="${createdAt.toISOString()}">${minutes(createdAt)}</time></small>
      </li>`,
  );
  return `<ul>
      ${items.join('\n      ')}
    </ul>`;
}

function minutes(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

const STYLE = `
    :root { --ink: #1c1b22; --soft: #6b6879; --paper: #faf8f6; --card: #fff; --line: #e6e1dc; --accent: #d11f48; }
    @media (prefers-color-scheme: dark) {
      :root { --ink: #f0eef5; --soft: #a19db0; --paper: #16151b; --card: #201e27; --line: #34313e; --accent: #ff5c7f; }
    }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
    main { max-width: 40rem; margin: 0 auto; padding: clamp(2rem, 8vh, 5rem) 1.25rem 2rem; }
    h1 { margin: .8rem 0 .4rem; font-size: clamp(1.9rem, 6vw, 2.9rem); line-height: 1.1; letter-spacing: -.02em; text-wrap: balance; }
    .badges { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0; }
    .badges span { padding: .15rem .65rem; border: 1px solid var(--line); border-radius: 1rem; background: var(--card);
      color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
    .badges span:first-child { border-color: var(--accent); color: var(--accent); font-weight: 600; }
    .lead { margin: 0; color: var(--soft); font-size: 1.1rem; text-wrap: balance; }
    .lead strong { color: var(--ink); }
    form { display: flex; flex-wrap: wrap; gap: .6rem; margin: 2rem 0 1.5rem; }
    input, button { padding: .7rem .9rem; border: 1px solid var(--line); border-radius: .6rem; background: var(--card);
      color: inherit; font: inherit; }
    input { flex: 1 1 9rem; min-width: 0; }
    input[name=message] { flex-grow: 3; flex-basis: 14rem; }
    input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
    button { border-color: var(--accent); background: var(--accent); color: var(--paper); font-weight: 600; cursor: pointer; }
    button:hover { filter: brightness(1.08); }
    ul { display: grid; gap: .7rem; margin: 0; padding: 0; list-style: none; }
    li, .empty { padding: .9rem 1.1rem; border: 1px solid var(--line); border-radius: .8rem; background: var(--card); }
    li p { margin: 0; overflow-wrap: anywhere; }
    small, .empty, footer { color: var(--soft); }
    .empty { margin: 0; border-style: dashed; text-align: center; }
    footer { display: flex; gap: 1.2rem; margin-top: 2rem; font-size: .9rem; }
    a { color: inherit; }
  `;
