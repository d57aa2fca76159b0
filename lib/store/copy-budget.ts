/** Something that takes memory. */
export interface SizedCopy {
  /** About how many bytes. */
  readonly size: number;
}

/** What all stores of a process together may keep, in bytes, unless they have a limit of their own. */
const SHARED_BYTES = 64 * 2 ** 20;

/** So many bytes of copies are kept; beyond it the least recently used go, whichever store they belong to. */
export class CopyBudget {
  /** The least recently used first, each with what lets it go. */
  private readonly copies = new Map<SizedCopy, (copy: SizedCopy) => void>();
  private used = 0;

  constructor(private readonly maxBytes: number) {}

  /** How many are used. */
  get bytes(): number {
    return this.used;
  }

  /** Whether there is room for a copy, once others have gone. */
  add(copy: SizedCopy, evict: (copy: SizedCopy) => void): boolean {
    if (copy.size > this.maxBytes) return false;
    this.copies.set(copy, evict);
    this.used += copy.size;
    for (const [other, evictOther] of this.copies) {
      if (this.used <= this.maxBytes) break;
      evictOther(other);
    }
    return true;
  }

  /** It becomes the most recently used one. */
  use(copy: SizedCopy): void {
    const evict = this.copies.get(copy);
    if (!evict) return;
    this.copies.delete(copy);
    this.copies.set(copy, evict);
  }

  remove(copy: SizedCopy): void {
    if (this.copies.delete(copy)) this.used -= copy.size;
  }
}

const shared = new CopyBudget(SHARED_BYTES);

/** @param maxBytes - of one store alone; `undefined`: that of the process */
export function budgetOf(maxBytes: number | undefined): CopyBudget {
  return maxBytes === undefined ? shared : new CopyBudget(maxBytes);
}
