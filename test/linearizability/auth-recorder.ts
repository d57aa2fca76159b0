import { createHash } from 'node:crypto';
import type {
  AttemptLimiter,
  OneTimeCodes,
  RefreshTokens,
  RegenerateOptions,
  Sessions,
} from 'nestjs-redis-cache-store/auth';
import type { Call } from './history.js';
import { changing, type Journal } from './journal.js';

/** What of the services the workers call, of which broken ones may replace some. */
export interface RecordedServices {
  readonly sessions: Pick<
    Sessions<string>,
    'create' | 'get' | 'update' | 'regenerate' | 'revokeToken' | 'revokeOthers' | 'revokeAll' | 'list' | 'revoke'
  >;
  readonly tokens: Pick<RefreshTokens<string>, 'issue' | 'rotate' | 'revoke' | 'revokeAll'>;
  readonly codes: Pick<OneTimeCodes<string>, 'issue' | 'redeem' | 'issueToken' | 'redeemToken'>;
  readonly attempts: Pick<AttemptLimiter, 'hit' | 'peek' | 'reset'>;
}

/** A secret that a client was given. */
export interface Held {
  readonly kind: 'session' | 'refresh' | 'code' | 'link';
  /** The credential that it belongs to, as histories name it. */
  readonly key: string;
  readonly subject: string;
  readonly secret: string;
}

/** What codes and links are for. */
const PURPOSE = 'login';

/** Makes calls of the services of /auth and writes down all of them. Data are texts. `give` is called with the secrets that they give. */
export class AuthRecorder {
  private unanswered = 0;

  constructor(
    private readonly name: string,
    private readonly journal: Journal,
    private readonly services: RecordedServices,
    private readonly give: (held: Held) => void,
  ) {}

  create(subject: string, value: string): Promise<void> {
    const late = this.unknownKey('session');
    const create = async () => {
      const { token } = await this.services.sessions.create(subject, value);
      const given = idOf(token);
      late.key = `session ${given}`;
      this.hold({ kind: 'session', key: late.key, subject, secret: token }, late, given);
    };
    return this.journal.record('sessions.create', { ...late, value, tags: [sessionsOf(subject)] }, create, late);
  }

  get({ key, secret }: Held): Promise<void> {
    const get = async () => (await this.services.sessions.get(secret))?.data ?? null;
    return this.journal.record('sessions.get', { key, secret: idOf(secret) }, get);
  }

  update({ key, secret }: Held, values: () => string): Promise<void> {
    const { last, change } = changing(values);
    const update = async () => (await this.services.sessions.update(secret, change))?.data ?? null;
    return this.journal.record('sessions.update', { key, secret: idOf(secret) }, update, last);
  }

  /** A change of rights, or (`isLogin`) a login. */
  regenerate(held: Held, value: string, isLogin: boolean): Promise<void> {
    return this.exchange(held, { data: value, ...(isLogin && { subject: held.subject }) });
  }

  /** The old token stays worth something for longer than a run lasts. */
  overlap(held: Held): Promise<void> {
    return this.exchange(held, { overlap: '5m' });
  }

  revokeToken({ key, secret }: Held): Promise<void> {
    const revoke = async () => this.services.sessions.revokeToken(secret);
    return this.journal.record('sessions.revokeToken', { key, secret: idOf(secret) }, revoke);
  }

  revokeOthers({ key, subject, secret }: Held): Promise<void> {
    const revoke = async () => this.services.sessions.revokeOthers(secret);
    const planned = { key: sessionsOf(subject), except: key, secret: idOf(secret) };
    return this.journal.record('sessions.revokeOthers', planned, revoke);
  }

  revokeSessions(subject: string): Promise<void> {
    const revoke = async () => this.services.sessions.revokeAll(subject);
    return this.journal.record('sessions.revokeAll', { key: sessionsOf(subject) }, revoke);
  }

  issueRefresh(subject: string, value: string): Promise<void> {
    const late = this.unknownKey('family');
    const issue = async () => {
      const token = await this.services.tokens.issue(subject, value);
      late.key = `family ${token.slice(0, 8)}`;
      this.hold({ kind: 'refresh', key: late.key, subject, secret: token }, late, shortOf(token));
    };
    return this.journal.record('tokens.issue', { ...late, tags: [familiesOf(subject)] }, issue, late);
  }

  rotate(held: Held): Promise<void> {
    const late: Late = {};
    const rotate = async () => {
      const rotation = await this.services.tokens.rotate(held.secret);
      if ('token' in rotation) this.hold({ ...held, secret: rotation.token }, late, shortOf(rotation.token));
      return rotation.outcome;
    };
    return this.journal.record('tokens.rotate', { key: held.key, secret: shortOf(held.secret) }, rotate, late);
  }

  revokeFamily({ key, secret }: Held): Promise<void> {
    const revoke = async () => this.services.tokens.revoke(secret);
    return this.journal.record('tokens.revoke', { key, secret: shortOf(secret) }, revoke);
  }

  revokeFamilies(subject: string): Promise<void> {
    const revoke = async () => this.services.tokens.revokeAll(subject);
    return this.journal.record('tokens.revokeAll', { key: familiesOf(subject) }, revoke);
  }

  issueCode(subject: string): Promise<void> {
    const late: Late = {};
    const key = `code of ${subject}`;
    const issue = async () => {
      const code = await this.services.codes.issue(PURPOSE, subject);
      this.hold({ kind: 'code', key, subject, secret: code }, late, code);
    };
    return this.journal.record('codes.issue', { key }, issue, late);
  }

  redeem({ key, subject, secret }: Held): Promise<void> {
    const redeem = async () => {
      const redemption = await this.services.codes.redeem(PURPOSE, subject, secret);
      if (redemption.outcome === 'wrong') return redemption.attemptsLeft;
      return redemption.outcome === 'ok' ? true : null;
    };
    return this.journal.record('codes.redeem', { key, secret }, redeem);
  }

  issueLink(subject: string, value: string): Promise<void> {
    const late = this.unknownKey('link');
    const issue = async () => {
      const token = await this.services.codes.issueToken(PURPOSE, subject, value);
      late.key = `link ${token.slice(0, 8)}`;
      this.hold({ kind: 'link', key: late.key, subject, secret: token }, late, token.slice(0, 8));
    };
    return this.journal.record('codes.issueToken', { ...late, value }, issue, late);
  }

  redeemLink({ key, secret }: Held): Promise<void> {
    const redeem = async () => {
      const redemption = await this.services.codes.redeemToken(PURPOSE, secret);
      return redemption.outcome === 'ok' ? redemption.data : null;
    };
    return this.journal.record('codes.redeemToken', { key, secret: secret.slice(0, 8) }, redeem);
  }

  hit(subject: string): Promise<void> {
    const late: { saw?: string } = {};
    const hit = async () => {
      const { allowed, count } = await this.services.attempts.hit(subject);
      if (allowed) return count;
      late.saw = String(count);
      return false;
    };
    return this.journal.record('attempts.hit', { key: attemptsOf(subject) }, hit, late);
  }

  peek(subject: string): Promise<void> {
    const peek = async () => (await this.services.attempts.peek(subject)).count;
    return this.journal.record('attempts.peek', { key: attemptsOf(subject) }, peek);
  }

  reset(subject: string): Promise<void> {
    return this.journal.record('attempts.reset', { key: attemptsOf(subject) }, async () =>
      this.services.attempts.reset(subject),
    );
  }

  private exchange(held: Held, options: RegenerateOptions<string>): Promise<void> {
    const late: Late = {};
    const regenerate = async () => {
      const next = await this.services.sessions.regenerate(held.secret, options);
      if (next) this.hold({ ...held, secret: next.token }, late, idOf(next.token));
      return next?.session.data ?? null;
    };
    const { data: value } = options;
    const planned = { key: held.key, secret: idOf(held.secret), ...(value !== undefined && { value }) };
    return this.journal.record('sessions.regenerate', planned, regenerate, late);
  }

  private hold(held: Held, late: Late, given: string): void {
    late.given = given;
    this.give(held);
  }

  /** Of a credential whose secret nobody was told. */
  private unknownKey(kind: string): Late & { key: string } {
    return { key: `${kind} ?${this.name}.${++this.unanswered}` };
  }
}

type Late = { -readonly [Name in 'key' | 'given']?: Call[Name] };

function sessionsOf(subject: string): string {
  return `sessions of ${subject}`;
}

function familiesOf(subject: string): string {
  return `families of ${subject}`;
}

function attemptsOf(subject: string): string {
  return `attempts of ${subject}`;
}

/** A session token that a history may show. */
function idOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url').slice(0, 8);
}

/** A refresh token without its family, and without most of its secret. */
function shortOf(token: string): string {
  const [, sequence, secret = ''] = token.split('.');
  return `${sequence}.${secret.slice(0, 6)}`;
}
