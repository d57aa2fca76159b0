import * as fc from 'fast-check';
import { CacheCorruptError, messagePackSerializer } from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import {
  decodeHeader,
  decodeRecord,
  encodeHead,
  encodeRecord,
  HEAD_PREFIX_BYTES,
  headLength,
  MOST_HEAD_BYTES,
} from '../../lib/record/layout.js';
import { headers, UNTAGGED } from '../support/arbitraries.js';

const flags = { fixedEnd: false, movedAway: false };

describe('the layout of a record', () => {
  it('gives header and payload back as they went in', () => {
    fc.assert(
      fc.property(headers, fc.uint8Array(), fc.boolean(), (header, payload, sealed) => {
        const found = decodeRecord(encodeRecord(encodeHead(header, sealed), payload));
        expect(found).toEqual({ header, payload: Buffer.from(payload), sealed });
      }),
    );
  });

  it('tells the length of a head by its first bytes, and the header without the payload', () => {
    fc.assert(
      fc.property(headers, fc.uint8Array(), (header, payload) => {
        const head = encodeHead(header, false);
        const record = encodeRecord(head, payload);
        expect(headLength(record.subarray(0, HEAD_PREFIX_BYTES))).toBe(head.length);
        expect(decodeHeader(record.subarray(0, head.length))).toEqual(header);
      }),
    );
  });

  it('has no head longer than it says', () => {
    const tags = Array.from({ length: 64 }, (_, i) => String.fromCodePoint(0x1f600 + i).repeat(128));
    expect(encodeHead({ ...UNTAGGED, tags, incarnation: newIncarnation(0) }, true)).toHaveLength(MOST_HEAD_BYTES);
  });

  it('has the documented bytes', () => {
    const header = {
      ...flags,
      createdAt: 0x010203040506,
      ttl: 0x0708090a0b0c,
      tags: ['a', 'ä'],
      incarnation: 'AQIDBAUGBwg',
    };
    expect(encodeHead(header, false).toString('hex')).toBe(
      ['c128', '010203040506', '0708090a0b0c', '0102030405060708', '0007', '0001', '61', '0002', 'c3a4'].join(''),
    );
    const plain = { createdAt: 1, ttl: null, fixedEnd: true, movedAway: true, tags: [] };
    expect(encodeHead(plain, true).toString('hex')).toBe('c127000000000001000000000000');
  });

  it('takes no tags without an incarnation', () => {
    for (const incarnation of [undefined, '', 'AAAA', 'not base64!']) {
      expect(() => encodeHead({ ...UNTAGGED, tags: ['a'], incarnation }, false)).toThrow(RangeError);
    }
  });

  it('makes an ordinary session, header included, take at most 0.9 times the bytes of its JSON', () => {
    const session = {
      userId: 100_042,
      email: 'user42@example.com',
      roles: ['member', 'editor'],
      csrf: 'A'.repeat(32),
      createdAt: '2026-01-01T08:00:00.000Z',
      lastSeenAt: '2026-01-01T08:30:00.000Z',
      ip: '203.0.113.7',
      locale: 'en-GB',
      device: { name: 'Firefox on Linux' },
    };
    const record = encodeRecord(encodeHead(UNTAGGED, false), messagePackSerializer.serialize(session));
    expect(record.length / Buffer.byteLength(JSON.stringify(session))).toBeLessThanOrEqual(0.9);
  });

  it('is refused in every other version', () => {
    const record = encodeRecord(encodeHead(UNTAGGED, false), Buffer.from([1]));
    expect(decodeRecord(record).header).toEqual({ ...flags, ...UNTAGGED });
    for (const version of [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]) {
      record[1] = version << 4;
      expect(() => decodeRecord(record)).toThrow(CacheCorruptError);
    }
  });

  it('is refused if any part of the head is missing', () => {
    const header = { ...UNTAGGED, tags: ['user:42', 'admin'], incarnation: newIncarnation(0) };
    const head = encodeHead(header, false);
    for (let length = 0; length < head.length; length++) {
      expect(() => decodeRecord(head.subarray(0, length))).toThrow(CacheCorruptError);
    }
    expect(decodeRecord(head).payload).toHaveLength(0);
  });
});
