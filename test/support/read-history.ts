/** Who wrote: a process, or somebody outside of all of them. */
export type Writer = object | 'outside';

/** A write that was carried out at some moment from `sent` to `acknowledged`. Moments are of `performance.now()`. */
interface Version {
  /** What can be read since; `undefined`: nothing. */
  readonly value: number | undefined;
  readonly by: Writer;
  readonly sent: number;
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
}

/** Clocks of processes tick alike, but not to the ms. */
const CLOCKS = 5;

/** What was written under one key, one write after the other, and so what a read may give. */
export class ReadHistory {
  /** The last one may not be acknowledged yet. */
  private readonly versions: Version[] = [NOTHING];

  /** Notes a write. `value` may turn out not to be written: `write` then answers `false`. */
  async write(
    by: Writer,
    value: number | undefined,
    write: () => Promise<unknown>,
    ttl: number | 'keep' = Infinity,
  ): Promise<void> {
    const sent = performance.now();
    const { expires: kept } = this.versions.at(-1) ?? NOTHING;
    const version = (acknowledged: number): Version => {
      const expires = ttl === 'keep' ? kept : ([sent + ttl, acknowledged + ttl] as const);
      return { value, by, sent, acknowledged, expires };
    };
    this.versions.push(version(Infinity));
    const isWritten = (await write()) !== false;
    this.versions.pop();
    if (isWritten) this.versions.push(version(performance.now()));
  }

  /** What is wrong with a read that has just ended; `undefined`: nothing. */
  complaint(read: Read): string | undefined {
    if (read.value === undefined) return this.mayBeAbsent(read) ? undefined : `absent, although it was there`;
    const written = this.versions.findLastIndex(({ value }) => value === read.value);
    const version = this.versions[written];
    if (!version) return `${read.value} was never written`;
    const later = this.versions.slice(written + 1);
    const own = later.find(({ by, acknowledged }) => by === read.by && acknowledged < read.begun);
    if (own) return `${read.value}, ${ms(read.begun - own.acknowledged)} after the own write of ${own.value}`;
    const [next] = later;
    if (next && next.acknowledged < read.begun - read.slack) {
      return `${read.value}, ${ms(read.begun - next.acknowledged)} after the write of ${next.value} (slack ${read.slack})`;
    }
    const expired = read.begun - (version.expires[1] + CLOCKS);
    return expired > 0 ? `${read.value}, ${ms(expired)} after its expiry` : undefined;
  }

  /** Nobody keeps what is absent, so it must have been while the read went on. */
  private mayBeAbsent({ begun, ended }: Read): boolean {
    return this.versions.some(({ value, sent, expires }, i) => {
      const until = this.versions[i + 1]?.acknowledged ?? Infinity;
      const absentFrom = value === undefined ? sent : expires[0] - CLOCKS;
      return absentFrom <= ended && until >= begun;
    });
  }
}

function ms(duration: number): string {
  return `${duration.toFixed(1)} ms`;
}
