import { Injectable } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';

/** What the sample uses of the response of Express. */
export interface Response {
  status(code: number): this;
  header(name: string, value: string): this;
  getHeader(name: string): unknown;
  send(body: unknown): this;
  redirect(status: number, url: string): void;
  cookie(name: string, value: string, options: object): this;
  clearCookie(name: string, options: object): this;
}

/**
 * The cookie that carries the token of a session. Scripts cannot read it (HttpOnly), pages of others cannot send it along with what
 * they post (SameSite), and where there is TLS it never leaves by plain HTTP and belongs to this host alone (Secure, `__Host-`).
 */
@Injectable()
export class SessionCookie {
  readonly #name: string;
  readonly #options: object;

  constructor(config: ConfigService) {
    this.#name = SessionCookie.nameFor(config);
    this.#options = { httpOnly: true, sameSite: 'lax', path: '/', secure: hasTls(config) };
  }

  static nameFor(config: ConfigService): string {
    return hasTls(config) ? '__Host-session' : 'session';
  }

  set(response: Response, token: string): void {
    response.cookie(this.#name, token, this.#options);
  }

  clear(response: Response): void {
    response.clearCookie(this.#name, this.#options);
  }
}

function hasTls(config: ConfigService): boolean {
  return config.get<string>('PUBLIC_URL', '').startsWith('https:');
}
