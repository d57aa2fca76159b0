import type { RecordedServices } from './auth-recorder.js';

/** What a service of /auth may do wrong, now and then. */
export type ServiceDefect = keyof typeof SERVICE_DEFECTS;

const isTime = (share = 0.5) => Math.random() < share;

/** Services with a defect, in front of sound ones. */
export function brokenServices(services: RecordedServices, defect: ServiceDefect): RecordedServices {
  return { ...services, ...SERVICE_DEFECTS[defect](services) };
}

export const SERVICE_DEFECTS = {
  'keeps a session that revokeAll is to end': ({ sessions }: RecordedServices) => ({
    sessions: instead(sessions, {
      async revokeAll(subject) {
        const [, ...others] = await sessions.list(subject);
        const ended = await Promise.all(others.map(({ id }) => sessions.revoke(subject, id)));
        return ended.length;
      },
    }),
  }),

  'lets the token of a session live on that was regenerated': ({ sessions }: RecordedServices) => ({
    sessions: instead(sessions, {
      async regenerate(token, options) {
        if (options?.overlap !== undefined) return sessions.regenerate(token, options);
        const session = await sessions.get(token);
        if (!session) return undefined;
        return sessions.create(session.subject, options?.data ?? session.data);
      },
    }),
  }),

  'answers for a token with the session of another': ({ sessions }: RecordedServices) => {
    let last = '';
    return {
      sessions: instead(sessions, {
        get(token) {
          const other = isTime(0.1) && last !== '' ? last : token;
          last = token;
          return sessions.get(other);
        },
      }),
    };
  },

  'gives a refresh token a second successor': ({ tokens }: RecordedServices) => ({
    tokens: instead(tokens, {
      async rotate(token) {
        const rotation = await tokens.rotate(token);
        if (rotation.outcome !== 'retried') return rotation;
        return { ...rotation, token: await tokens.issue(rotation.subject, rotation.data) };
      },
    }),
  }),

  'takes the retry of a rotation for a theft': ({ tokens }: RecordedServices) => ({
    tokens: instead(tokens, {
      async rotate(token) {
        const rotation = await tokens.rotate(token);
        if (rotation.outcome !== 'retried') return rotation;
        await tokens.revoke(token);
        return { outcome: 'reused' as const, subject: rotation.subject };
      },
    }),
  }),

  'sends a redeem twice': ({ codes }: RecordedServices) => ({
    codes: instead(codes, {
      async redeem(...code) {
        const first = await codes.redeem(...code);
        return isTime() ? codes.redeem(...code) : first;
      },
    }),
  }),

  'accepts a link twice': ({ codes }: RecordedServices) => {
    const redeemed = new Map<string, Awaited<ReturnType<typeof codes.redeemToken>>>();
    return {
      codes: instead(codes, {
        async redeemToken(purpose, token) {
          const redemption = redeemed.get(token) ?? (await codes.redeemToken(purpose, token));
          if (redemption.outcome === 'ok') redeemed.set(token, redemption);
          return redemption;
        },
      }),
    };
  },

  'does not count an attempt': ({ attempts }: RecordedServices) => ({
    attempts: instead(attempts, {
      async hit(key) {
        if (!isTime()) return attempts.hit(key);
        const { count, remaining } = await attempts.peek(key);
        return { allowed: true, count: count + 1, remaining: remaining - 1, retryAfter: 0 };
      },
    }),
  }),

  'loses a count of attempts': ({ attempts }: RecordedServices) => ({
    attempts: instead(attempts, {
      async hit(key) {
        if (isTime(0.3)) await attempts.reset(key);
        return attempts.hit(key);
      },
    }),
  }),
} satisfies Record<string, (services: RecordedServices) => Partial<RecordedServices>>;

/** A service of which some methods are replaced. */
function instead<Service extends object>(sound: Service, replaced: Partial<Service>): Service {
  // The methods of a class need its private fields: each is bound to the service that has them.
  return new Proxy(sound, {
    get: (target, name) => {
      const member: unknown = Reflect.get(replaced, name) ?? Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}
