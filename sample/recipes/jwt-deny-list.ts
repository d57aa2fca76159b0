import { Injectable, UnauthorizedException } from '@nestjs/common';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';

/** What a verified JWT says of itself: its id, and when it expires, in seconds since 1970. */
export interface Claims {
  jti: string;
  /** Absent: the token never expires. */
  exp?: number;
}

/** Verifiers accept a token for a while after its `exp`, for clocks that differ: as much as yours tolerates, in ms. */
const CLOCK_TOLERANCE = 60_000;
/** Tokens that live longer (`exp` 9999999999 is the year 2286) are remembered for so long, in ms: 50 years. */
const LONGEST = 50 * 365 * 24 * 60 * 60 * 1000;

// RedisCacheModule.forFeature({ namespace: 'revoked-jwt' }, { namespace: 'used-jwt' })
@Injectable()
export class JwtDenyList {
  constructor(
    @InjectCacheStore('revoked-jwt') private readonly revoked: RedisCacheStore,
    @InjectCacheStore('used-jwt') private readonly used: RedisCacheStore,
  ) {}

  /** Remembers it for as long as anybody would still accept it. */
  async revoke({ jti, exp }: Claims): Promise<void> {
    const ttl = acceptedFor(exp);
    if (ttl <= 0) return; // nobody accepts it any more
    await this.revoked.put(jti, true, { ttl });
  }

  /** For every request. While Redis is down this throws (503): an outage never means "not revoked". */
  async assertNotRevoked({ jti }: Claims): Promise<void> {
    if (await this.revoked.has(jti)) throw new UnauthorizedException();
  }

  /** For tokens that are good for one request: of all that present it, the first passes. */
  async assertFirstUse({ jti, exp }: Claims): Promise<void> {
    const ttl = acceptedFor(exp);
    if (ttl <= 0 || !(await this.used.putIfAbsent(jti, true, { ttl }))) throw new UnauthorizedException();
  }
}

/** For how many ms from now anybody accepts a token. */
function acceptedFor(exp = Infinity): number {
  return Math.min(exp * 1000 + CLOCK_TOLERANCE - Date.now(), LONGEST);
}
