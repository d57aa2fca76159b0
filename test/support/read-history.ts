import { CacheUnavailableError } from 'nestjs-redis-cache-store';

/** Who wrote: an instance, or somebody outside of all of them. */
export type Writer = object | 'outside';

/** A write that was carried out at some moment from `sent` to `acknowledged`. Moments are of `performance.now()`. */
interface Version {
  /** What can be read since; `undefined`: nothing. */
  readonly value: number | undefined;
  readonly by: Writer;
  readonly sent: number;
  /** Infinity: not yet, or nobody knows whether it was carried out, or will be. */
  readonly acknowledged: number;
  /** Between which moments the record expires. */
  readonly expires: readonly [earliest: number, latest: number];
}

const NOTHING: Version = { value: undefined, by: 'outside', sent: 0, acknowledged: 0, expires: [Infinity, Infinity] };

interface Read {
  readonly by: object;
  readonly begun: number;
  readonly ended: number;
  readonly value: number | undefined;
  /** How much older than its beginning its answer may be. */
  readonly slack: number;
  /** How much later than it should a record may expire: a record that is moved to another server takes the ms left with it. */
  readonly drift?: number;
}

/** Clocks of processes tick alike, but not to the ms. */
const CLOCKS = 5;

/** What was written under one key, one write after the other, and so what a read may give. */
export class ReadHistory {
  private readonly versions: Version[] = [NOTHING];

  /** Notes a write. `value` may turn out not to be written: `write` then answers `false`. */
  async write(
    by: Writer,
    value: number | undefined,
    write: () => Promise<unknown>,
    ttl: number | 'keep' = Infinity,
  ): Promise<void> {
    const sent = performance.now();
    const kept = ttl === 'keep' ? this.expires() : undefined;
    const version = (acknowledged: number): Version => {
      return { value, by, sent, acknowledged, expires: kept ?? [sent + Number(ttl), acknowledged + Number(ttl)] };
    };
    this.versions.push(version(Infinity));
    try {
      const isWritten = (await write()) !== false;
      this.versions.pop();
      if (isWritten) this.versions.push(version(performance.now()));
    } catch (error) {
      if (!(error instanceof CacheUnavailableError)) throw error;
      if (error.outcome === 'not-sent') this.versions.pop();
    }
  }

  /** What is wrong with a read that has just ended; `undefined`: nothing. */
  complaint(read: Read): string | undefined {
    if (read.value === undefined) return this.mayBeAbsent(read) ? undefined : `absent, although it was there`;
    const written = this.versions.findLastIndex(({ value }) => value === read.value);
    const version = this.versions[written];
    if (!version) return `${read.value} was never written`;
    if (version.acknowledged === Infinity) return undefined;
    const later = this.versions.slice(written + 1).filter(({ acknowledged }) => acknowledged < Infinity);
    const own = later.find(({ by, acknowledged }) => by === read.by && acknowledged < read.begun);
    if (own) return `${read.value}, ${ms(read.begun - own.acknowledged)} after the own write of ${own.value}`;
    const [next] = later;
    if (next && next.acknowledged < read.begun - read.slack) {
      return `${read.value}, ${ms(read.begun - next.acknowledged)} after the write of ${next.value} (slack ${ms(read.slack)})`;
    }
    const expired = read.begun - (version.expires[1] + CLOCKS + (read.drift ?? 0));
    return expired > 0 ? `${read.value}, ${ms(expired)} after its expiry` : undefined;
  }

  /** Between which moments what is there expires: what was acknowledged last, or what may have been written since. */
  private expires(): Version['expires'] {
    const last = this.versions.findLastIndex(({ acknowledged }) => acknowledged < Infinity);
    const possible = this.versions.slice(last).map(({ expires }) => expires);
    return [Math.min(...possible.map(([from]) => from)), Math.max(...possible.map(([, to]) => to))];
  }

  /** Nobody keeps what is absent, so it must have been while the read went on. */
  private mayBeAbsent({ begun, ended }: Read): boolean {
    return this.versions.some(({ value, sent, acknowledged, expires }, i) => {
      const next = this.versions.slice(i + 1).find((later) => later.acknowledged < Infinity);
      const until = acknowledged < Infinity && next ? next.acknowledged : Infinity;
      const absentFrom = value === undefined ? sent : expires[0] - CLOCKS;
      return absentFrom <= ended && until >= begun;
    });
  }
}

function ms(duration: number): string {
  return `${duration.toFixed(1)} ms`;
}
