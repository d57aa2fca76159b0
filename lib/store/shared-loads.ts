/** A load that is going on. */
interface Load {
  readonly result: Promise<Buffer | undefined>;
  current: boolean;
}

/** One load at a time for each key, however many callers wait for it. Nothing is remembered once it has settled. */
export class SharedLoads {
  private readonly running = new Map<string, Load>();

  /** Joins the load that is going on for the key, or begins one. `isCurrent` turns false when the key is forgotten. */
  run(key: string, begin: (isCurrent: () => boolean) => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    const running = this.running.get(key);
    if (running) return running.result;
    const load: Load = { current: true, result: Promise.resolve().then(() => begin(() => load.current)) };
    this.running.set(key, load);
    const settled = () => {
      if (this.running.get(key) === load) this.running.delete(key);
    };
    load.result.then(settled, settled);
    return load.result;
  }

  /** The record was written or deleted: what is being loaded for it is out of date, and must not be stored over that. */
  forget(key: string): void {
    const load = this.running.get(key);
    if (!load) return;
    load.current = false;
    this.running.delete(key);
  }

  forgetAll(): void {
    for (const key of this.running.keys()) this.forget(key);
  }
}
