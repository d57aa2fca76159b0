/**
 * ioredis 6.0.0 slows down the strings of the whole process. Its built/resp/verbatim-string.js has
 * `class VerbatimString extends String`, which makes `String.prototype` the prototype of another prototype; V8 (Node 20, 22 and 24)
 * then keeps the methods of strings in a dictionary and inlines them no longer. A loop over `charCodeAt` takes six times as long,
 * and msgpackr twice as long for a session. Once a method of a String object has been looked up some times, V8 makes
 * `String.prototype` fast again. ioredis 5 has no such class.
 *
 * Upstream: no issue of redis/ioredis or nodejs/node tells of it. Test: test/unit/string-speed.spec.ts, which also says
 * when this file can go: as soon as no supported ioredis derives a class from String, or V8 does not mind.
 */
export function quickenStrings(): void {
  const text = Object('') as string;
  const touch = (some: string) => some.at(0);
  for (let i = 0; i < 100; i++) touch(text);
}
