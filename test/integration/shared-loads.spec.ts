import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';

describe('getOrPut through several stores of one namespace', () => {
  it('runs one load, and stores nothing that another of them wrote or deleted meanwhile', async () => {
    const app = await CacheApp.start(
      { url: 'memory:', namespace: 'user' },
      { namespace: 'user', name: 'again' },
      { namespace: 'another' },
    );
    try {
      const [one, same, another] = [app.store, app.storeOf('again'), app.storeOf('another')];
      let loads = 0;
      let end: (value: string) => void = () => undefined;
      const load = () => {
        loads++;
        return new Promise<string>((resolve) => (end = resolve));
      };
      const both = [one.getOrPut('key', load), same.getOrPut('key', load)];
      await one.has('key');
      expect(await another.getOrPut('key', () => 'its own')).toBe('its own');
      end('loaded');
      expect(await Promise.all(both)).toEqual(['loaded', 'loaded']);
      expect(loads).toBe(1);

      await one.delete('key');
      const loading = one.getOrPut('key', load);
      await eventually(() => expect(loads).toBe(2));
      await same.delete('key');
      end('out of date');
      expect(await loading).toBe('out of date');
      expect(await one.has('key')).toBe(false);
    } finally {
      await app.close();
    }
  });
});
