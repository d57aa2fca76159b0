export type { Attempt } from './attempt-limiter.js';
export { AttemptLimiter } from './attempt-limiter.js';
export { TooManyAttemptsError, TooManySessionsError } from './auth.errors.js';
export { RedisCacheAuthModule } from './auth.module.js';
export type {
  AttemptLimiterOptions,
  OneTimeCodesOptions,
  RedisCacheAuthAsyncOptions,
  RedisCacheAuthOptions,
  RedisCacheAuthOptionsFactory,
  RefreshTokensOptions,
  SessionsOptions,
} from './auth.options.js';
export {
  getAttemptLimiterToken,
  getOneTimeCodesToken,
  getRefreshTokensToken,
  getSessionsToken,
  InjectAttemptLimiter,
  InjectOneTimeCodes,
  InjectRefreshTokens,
  InjectSessions,
} from './auth.options.js';
export type { Redemption, TokenRedemption } from './one-time-codes.js';
export { OneTimeCodes } from './one-time-codes.js';
export type { RefreshEvent, RefreshFamily, RefreshTokensOf, Rotation } from './refresh-tokens.js';
export { RefreshTokens } from './refresh-tokens.js';
export type { About, Session } from './session.js';
export type { CreatedSession, SessionEvent, SessionsOf } from './sessions.js';
export { Sessions } from './sessions.js';
