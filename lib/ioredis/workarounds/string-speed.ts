/**
 * ioredis derives a class from String, whereupon V8 (measured with Node 20) keeps what strings can do in a dictionary and inlines it
 * no longer: to walk over characters, as msgpackr does, takes four times as long, in the whole process. Once a property of a
 * String object has been looked up a few times, V8 makes its prototype fast again.
 *
 * Test: test/unit/string-speed.spec.ts. Can go when that test passes without it.
 */
export function quickenStrings(): void {
  const text = Object('') as string;
  const touch = (some: string) => some.at(0);
  for (let i = 0; i < 100; i++) touch(text);
}
