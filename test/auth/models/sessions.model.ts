import * as fc from 'fast-check';
import { CALM, type Calling, calling, type Instances, type ServiceModel, steps, valuesOf } from './instances.js';

export const LIMIT = 4;

/** The sessions of a subject, as its devices know them. */
interface Devices {
  readonly subject: string;
  /** Tokens that lead to a session. */
  readonly live: string[];
  /** Tokens that lead to none any more. */
  readonly dead: Set<string>;
  /** How many sessions there may be that nobody has a token of, or a token that may be dead. */
  unknown: number;
  /**
   * How many sessions lost calls were to make, to move or to end: what was begun may hold its place for a while, whatever became of it.
   * And how many have ended since the first fault: while a connection is lost a session may leave its place late.
   */
  lost: number;
  wasDisturbed: boolean;
}

let subjects = 0;
const which = fc.tuple(calling, fc.nat(LIMIT)).map(([how, nth]) => ({ ...how, calls: 1, nth }));
type Which = Calling & { nth: number };

function step(
  name: string,
  take: (devices: Devices, instances: Instances, token: string, how: Which) => Promise<void>,
) {
  return steps<Devices, Which>(name, which, async (devices, instances, how) => {
    const token = devices.live[how.nth % Math.max(1, devices.live.length)];
    if (token !== undefined) await take(devices, instances, token, how);
    await expectTold(devices, instances);
  });
}

/** A token is dead, or nobody knows. */
function drop({ live, dead, ...devices }: Devices, token: string, isSure: boolean): number {
  live.splice(live.indexOf(token), 1);
  if (isSure) dead.add(token);
  return isSure ? devices.unknown : devices.unknown + 1;
}

async function expectTold({ subject, live, dead, unknown }: Devices, instances: Instances): Promise<void> {
  const at = { ...CALM, at: 1 } as const;
  for (const token of live) {
    expect(await instances.call(CALM, 'sessions', 'get', token)).toMatchObject([{ value: { subject } }]);
  }
  for (const token of dead) {
    expect(await instances.call(at, 'sessions', 'get', token)).toEqual([{ value: undefined }]);
  }
  const [listed = []] = valuesOf(await instances.call(at, 'sessions', 'list', subject));
  expect(listed.length).toBeGreaterThanOrEqual(live.length);
  expect(listed.length).toBeLessThanOrEqual(Math.min(LIMIT, live.length + unknown));
}

/** How many of the places of sessions that a call ended may be held for a while. */
function placesOf(devices: Devices, told: unknown, { fault }: Calling, ended = 1): number {
  devices.wasDisturbed ||= fault.kind !== 'none';
  return devices.wasDisturbed || told === 'lost' ? ended : 0;
}

function regenerate(name: string, optionsOf: (subject: string) => { subject?: string; data?: number }) {
  return step(name, async (devices, instances, token, how) => {
    const [told] = await instances.call(how, 'sessions', 'regenerate', token, optionsOf(devices.subject));
    // After a call that was lost its user signs in again.
    devices.unknown = drop(devices, token, typeof told === 'object');
    devices.lost += placesOf(devices, told, how);
    if (told === 'lost') devices.lost++; // the new one
    if (typeof told !== 'object') return;
    expect(told.value).toBeDefined();
    devices.live.push(told.value?.token ?? '');
  });
}

async function create(devices: Devices, instances: Instances, how: Calling): Promise<void> {
  const told = await instances.call(how, 'sessions', 'create', devices.subject, 1);
  devices.live.push(...valuesOf(told).map(({ token }) => token));
  const lost = told.filter((each) => each === 'lost').length;
  devices.unknown += lost;
  devices.lost += lost;
  devices.wasDisturbed ||= how.fault.kind !== 'none';
  if (told.includes('refused')) expect(devices.live.length + devices.lost).toBeGreaterThanOrEqual(LIMIT);
  await expectTold(devices, instances);
}

/** No session is alive once its token was regenerated or revoked, or after revokeAll; none is lost; the limit is held. */
export const sessionsModel: ServiceModel<Devices> = {
  begin: () => ({ subject: `user:${++subjects}`, live: [], dead: new Set(), unknown: 0, lost: 0, wasDisturbed: false }),
  steps: [
    ...Array.from({ length: 4 }, () => steps('create', calling, create)),
    regenerate('regenerate', () => ({ data: 2 })),
    regenerate('log in', (subject) => ({ subject })),
    step('reauthenticate', async (devices, instances, token, how) => {
      const [told] = await instances.call(how, 'sessions', 'reauthenticate', token);
      devices.lost += placesOf(devices, told, how);
      if (typeof told === 'object') expect(told.value).toBeDefined();
    }),
    step('revokeToken', async (devices, instances, token, how) => {
      const [told] = await instances.call(how, 'sessions', 'revokeToken', token);
      devices.unknown = drop(devices, token, typeof told === 'object');
      devices.lost += placesOf(devices, told, how);
      if (typeof told === 'object') expect(told.value).toBe(true);
    }),
    step('revokeOthers', async (devices, instances, token, how) => {
      const [told] = await instances.call(how, 'sessions', 'revokeOthers', token);
      const isSure = typeof told === 'object';
      for (const other of devices.live.filter((each) => each !== token)) {
        devices.unknown = drop(devices, other, isSure);
      }
      if (isSure) devices.unknown = 0;
      devices.lost += placesOf(devices, told, how, LIMIT);
    }),
    step('revokeAll', async (devices, instances, _, how) => {
      const [told] = await instances.call(how, 'sessions', 'revokeAll', devices.subject);
      const isSure = typeof told === 'object';
      for (const token of devices.live.slice()) devices.unknown = drop(devices, token, isSure);
      // Those that nobody knew of are gone as well.
      if (isSure) devices.unknown = 0;
      devices.lost += placesOf(devices, told, how, LIMIT);
    }),
  ],
  // Whatever was lost, revokeAll resolves it.
  async end({ subject }, instances) {
    await instances.call(CALM, 'sessions', 'revokeAll', subject);
    expect(await instances.call(CALM, 'sessions', 'list', subject)).toEqual([{ value: [] }]);
  },
};
