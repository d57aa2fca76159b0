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
export type { About, CreatedSession, RegenerateOptions, Session, SessionEvent } from './session.js';
export { CurrentSession, Public, RequireFresh, SessionGuard, SessionGuardFor, SessionToken } from './session-guard.js';
export type { SocketClient } from './session-sockets.js';
export type { SessionsOf } from './sessions.js';
export { Sessions } from './sessions.js';
export type { TokenSource } from './token-source.js';
