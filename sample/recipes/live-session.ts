import { type BeforeApplicationShutdown, Controller, type MessageEvent, Sse, UseGuards } from '@nestjs/common';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';
import { CurrentSession, type Session, SessionGuard } from 'nestjs-redis-cache-store/auth';
import { filter, interval, map, merge, type Observable, startWith, Subject, takeUntil, takeWhile } from 'rxjs';

/** Proxies close a connection on which nothing is sent for long, mostly after 60 s. In ms. */
const ALIVE_EVERY = 25_000;

// RedisCacheAuthModule.forFeature({ sessions: { namespace: 'session', from: { cookie: 'sid' }, … } })
// RedisCacheModule.forFeature({ namespace: 'session', ttl: null, nearCache: true }), which is only watched
@UseGuards(SessionGuard)
@Controller('session')
export class LiveSessionController implements BeforeApplicationShutdown {
  private readonly shutdown = new Subject<void>();

  constructor(@InjectCacheStore('session') private readonly records: RedisCacheStore) {}

  /** Tells a browser at once that its session has ended, by whichever instance, and closes the stream. */
  @Sse('events')
  events(@CurrentSession() { id }: Session): Observable<MessageEvent> {
    const ended = this.records.watch(id).pipe(
      filter((change) => change === 'gone'),
      map(() => ({ type: 'ended', data: '' })),
    );
    const alive = interval(ALIVE_EVERY).pipe(
      startWith(0),
      map(() => ({ type: 'alive', data: '' })),
    );
    return merge(alive, ended).pipe(
      takeWhile(({ type }) => type !== 'ended', true),
      takeUntil(this.shutdown),
    );
  }

  /** The HTTP server waits for its responses to end. */
  beforeApplicationShutdown(): void {
    this.shutdown.next();
  }
}
