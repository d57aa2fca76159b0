/** More keys are sent as several commands: one reply of a few hundred sessions neither blocks Redis nor our event loop. */
const MOST_KEYS = 256;

/** Calls whose deadlines lie further apart do not share a command, since a command has one deadline. In ms. */
const SAME_DEADLINE = 5;

interface Reader {
  readonly resolve: (bytes: Buffer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  readonly deadline: number;
  readonly readers: Map<string, Reader[]>;
}

/** What there is under one key. A promise may fail on its own: a key of another type is no fault of the other readers. */
export type Fetched = Buffer | undefined | Promise<Buffer | undefined>;

type Fetch = (keys: readonly string[], deadline: number) => Promise<readonly Fetched[]>;

/**
 * Turns the `get`s of one turn of the event loop into as few commands as possible. Equal keys are fetched once; each
 * reader gets bytes of its own, since a serializer may give them out as they are.
 */
export class ReadBatcher {
  private batch: Batch | undefined;

  /** `fetch` answers keys in their order; if it fails as a whole, its error goes to every reader of the batch. */
  constructor(private readonly fetch: Fetch) {}

  get(key: string, deadline: number): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      const { readers } = this.batchFor(deadline);
      const reader = { resolve, reject };
      const others = readers.get(key);
      if (others) others.push(reader);
      else readers.set(key, [reader]);
    });
  }

  private batchFor(deadline: number): Batch {
    const open = this.batch;
    if (
      open &&
      open.readers.size < MOST_KEYS &&
      deadline - open.deadline < SAME_DEADLINE &&
      deadline >= open.deadline
    ) {
      return open;
    }
    const batch: Batch = { deadline, readers: new Map() };
    this.batch = batch;
    // After the sockets have been read: the requests that arrived together are then all in the batch.
    setImmediate(() => {
      if (this.batch === batch) this.batch = undefined;
      void this.run(batch);
    });
    return batch;
  }

  private async run({ readers, deadline }: Batch): Promise<void> {
    try {
      const found = await this.fetch([...readers.keys()], deadline);
      let index = 0;
      for (const group of readers.values()) void deliver(found[index++], group);
    } catch (error) {
      for (const group of readers.values()) for (const reader of group) reader.reject(error);
    }
  }
}

async function deliver(fetched: Fetched, [first, ...others]: readonly Reader[]): Promise<void> {
  try {
    const bytes = await fetched;
    for (const reader of others) reader.resolve(bytes && Buffer.from(bytes));
    first?.resolve(bytes);
  } catch (error) {
    for (const reader of others) reader.reject(error);
    first?.reject(error);
  }
}
