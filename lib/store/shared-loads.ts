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

  /**
   * Carries out a write or a deletion of these keys (absent: of any). What is being loaded for them is out of date: it must not be
   * stored over that, and nobody may join it who comes after the write was acknowledged.
   */
  async around<T>(keys: readonly string[] | undefined, write: () => Promise<T>): Promise<T> {
    const forgetAll = () => (keys ?? [...this.running.keys()]).forEach((key) => this.forget(key));
    forgetAll();
    try {
      return await write();
    } finally {
      forgetAll();
    }
  }

  /** What `around` does before and after. */
  forget(key: string): void {
    const load = this.running.get(key);
    if (!load) return;
    load.current = false;
    this.running.delete(key);
  }

  /** Lets nobody join what is being loaded, which is stored all the same, if there is still no record. */
  leave(key: string): void {
    this.running.delete(key);
  }
}
