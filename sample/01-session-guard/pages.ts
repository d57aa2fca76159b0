import type { Session } from 'nestjs-redis-cache-store/auth';

export const HTML = 'text/html; charset=utf-8';

/** Text that stands in a page as itself, whatever somebody has put into it. */
class Markup {
  constructor(readonly text: string) {}
}

/** A template whose values are escaped, unless they are markup. */
function html(parts: TemplateStringsArray, ...values: unknown[]): Markup {
  return new Markup(String.raw({ raw: parts }, ...values.map(toHtml)));
}

function toHtml(value: unknown): string {
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(toHtml).join('');
  return String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE = `
  body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1c2430; }
  h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
  form.stack { display: grid; gap: .75rem; max-width: 20rem }
  input { font: inherit; padding: .4rem .6rem; border: 1px solid #aab3c0; border-radius: .4rem }
  button { font: inherit; padding: .35rem .8rem; border: 1px solid #2457a6; border-radius: .4rem; background: #fff; color: #2457a6 }
  li { display: flex; justify-content: space-between; align-items: center; gap: 1rem; padding: .6rem 0; border-bottom: 1px solid #e3e7ee }
  ul { list-style: none; padding: 0 } small { color: #5b6675 } .problem { color: #b3261e }
  nav { display: flex; gap: 1rem; align-items: center }
`;

function page(title: string, body: Markup): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        <style>
          ${new Markup(STYLE)}
        </style>
      </head>
      <body>
        <h1>${title}</h1>
        ${body}
      </body>
    </html>`.text;
}

function problemOf(problem?: string): Markup {
  return problem === undefined ? new Markup('') : html`<p class="problem" role="alert">${problem}</p>`;
}

export function loginPage(problem?: string): string {
  return page(
    'Sign in',
    html`${problemOf(problem)}
      <form class="stack" method="post" action="/login">
        <label>Name <input name="name" autocomplete="username" required /></label>
        <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
        <button>Sign in</button>
      </form>
      <p><a href="/reset">Forgot the password?</a></p>`,
  );
}

export function accountPage(name: string, sessions: readonly Session[], currentId: string): string {
  const devices = sessions.map((session) => deviceOf(session, session.id === currentId));
  return page(
    `Hello, ${name}`,
    html`<nav>
        <a href="/password">Change the password</a>
        <form method="post" action="/logout"><button>Sign out</button></form>
      </nav>
      <h2>Your devices</h2>
      <ul>
        ${devices}
      </ul>
      <form method="post" action="/devices/others/sign-out"><button>Sign out all others</button></form>`,
  );
}

function deviceOf({ id, about, lastSeenAt }: Session, isCurrent: boolean): Markup {
  const { device = 'unknown', address = 'unknown' } = about ?? {};
  const action = isCurrent
    ? html`<strong>this device</strong>`
    : html`<form method="post" action="/devices/${id}/sign-out"><button>Sign out</button></form>`;
  return html`<li>
    <span>${device}<br /><small>${address}, last used ${lastSeenAt.toISOString()}</small></span
    >${action}
  </li>`;
}

export function confirmPage(problem?: string): string {
  return page(
    'Your password, once more',
    html`${problemOf(problem)}
      <form class="stack" method="post" action="/confirm">
        <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
        <button>Go on</button>
      </form>`,
  );
}

export function passwordPage(): string {
  return page(
    'Change the password',
    html`<form class="stack" method="post" action="/password">
      <label
        >New password <input name="password" type="password" autocomplete="new-password" minlength="8" required
      /></label>
      <button>Change it</button>
    </form>`,
  );
}

export function resetPage(): string {
  return page(
    'Forgot the password?',
    html`<form class="stack" method="post" action="/reset">
      <label>Name <input name="name" autocomplete="username" required /></label>
      <button>Send me a code</button>
    </form>`,
  );
}

export function codePage(name: string): string {
  return page(
    'A code was sent to you',
    html`<form class="stack" method="post" action="/reset/confirm">
      <input name="name" type="hidden" value="${name}" />
      <label>Code <input name="code" inputmode="numeric" autocomplete="one-time-code" required /></label>
      <label
        >New password <input name="password" type="password" autocomplete="new-password" minlength="8" required
      /></label>
      <button>Change the password</button>
    </form>`,
  );
}
