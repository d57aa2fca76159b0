import { isIP } from 'node:net';
import type { RedisCommand, RedisReply } from '../call.js';
import type { Endpoint } from '../address.js';

export const SLOTS = 16_384;

/** A range of slots and the master that has them. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly owner: Endpoint;
}

/** Commands that name no key, as far as they are sent here. */
const KEYLESS = new Set(['ping', 'info', 'config', 'time', 'client', 'cluster', 'scan', 'role']);

/** The slot of a command's key; `undefined`: it has none, and any node will do. */
export function slotOf(words: RedisCommand): number | undefined {
  const [name] = words;
  if (KEYLESS.has(name)) return undefined;
  const key = words[name.startsWith('eval') ? 3 : 1];
  return key === undefined ? undefined : slotOfKey(key);
}

/**
 * Reads a reply of CLUSTER SLOTS, https://redis.io/docs/latest/commands/cluster-slots/.
 *
 * @param asked - the node that gave it, which an empty host stands for
 */
export function readSlots(reply: RedisReply, asked: Endpoint): SlotRange[] {
  if (!Array.isArray(reply)) return [];
  const ranges = (reply as readonly (readonly RedisReply[])[]).map(([from, to, owner]) => {
    const [host, port, , metadata] = owner as readonly RedisReply[];
    const place = { host: hostOf(host, metadata) || asked.host, port: Number(port) };
    return { from: Number(from), to: Number(to), owner: place };
  });
  return ranges.filter(({ owner }) => owner.port > 0); // 0: nobody knows where it is
}

/** `?`: the node is to be named by a host name that it does not know yet; its address is among the further data, if at all. */
function hostOf(host: RedisReply | undefined, metadata: RedisReply | undefined): string {
  const name = host === null || host === undefined ? '' : String(host);
  if (name !== '?') return name;
  const known = Array.isArray(metadata) ? metadata.map(String) : [];
  return known.find((text) => isIP(text) !== 0) ?? '';
}

/** CRC-16/XMODEM of the part between the first braces, if there is any, else of the whole key. */
export function slotOfKey(key: string | Buffer): number {
  const bytes = bytesOf(key);
  const open = bytes.indexOf('{');
  const close = open < 0 ? -1 : bytes.indexOf('}', open + 1);
  const [from, to] = close > open + 1 ? [open + 1, close] : [0, bytes.length];
  let crc = 0;
  for (let i = from; i < to; i++) crc = ((crc << 8) & 0xffff) ^ (CRC[(crc >> 8) ^ bytes.charCodeAt(i)] ?? 0);
  return crc % SLOTS;
}

/** A character for each byte: ASCII as it is, since making bytes of it is most of what a slot takes (bench/micro.mjs). */
function bytesOf(key: string | Buffer): string {
  if (typeof key !== 'string') return key.toString('latin1');
  return /[^\0-\x7f]/.test(key) ? Buffer.from(key).toString('latin1') : key;
}

const CRC = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});
