/**
 * Assertions for the compiler: `npm run test:types` fails where one does not hold; nothing here ever runs.
 *
 * @example `expectType<string | undefined>().toBe<Awaited<ReturnType<typeof find>>>();`
 */
export declare function expectType<Expected>(): {
  /** Exactly this type: `any` equals `any` only. A mismatch is an argument that is missing. */
  toBe<Actual>(...mismatch: Equal<Expected, Actual> extends true ? [] : [expected: Expected, actual: Actual]): void;
};

// Two conditional types are assignable to each other only if what they test is identical.
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
