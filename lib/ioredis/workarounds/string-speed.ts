/**
 * `class VerbatimString extends String` in built/resp/verbatim-string.js of ioredis 6.0.0 (5 has no such class) makes V8 (Node 20, 22
 * and 24) keep the methods of strings in a dictionary and inline them no longer, in the whole process: a loop over `charCodeAt`
 * takes six times as long, and a `put` of a session 1.14 times (bench/micro.mjs). Once a method of a String object has been looked up
 * some times, V8 makes `String.prototype` fast again. There is no issue upstream. Can go as soon as no supported ioredis
 * derives a class from String, or V8 does not mind, which test/unit/string-speed.spec.ts tells.
 */
export function quickenStrings(): void {
  const text = Object('') as string;
  const touch = (some: string) => some.at(0);
  for (let i = 0; i < 100; i++) touch(text);
}
