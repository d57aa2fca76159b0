import { eventually } from './eventually.js';
import { WorkerProcess } from './worker-process.js';

describe('WorkerProcess', () => {
  let worker: WorkerProcess<typeof import('./workers/auth.worker.js')> | undefined;
  afterEach(() => worker?.kill());

  it('runs functions that use the package, and passes errors on with what callers decide by', async () => {
    worker = await WorkerProcess.start('auth.worker', { REDIS_URL: 'memory:' });
    expect(await worker.run('putIfAbsent', 'key', 3, 0)).toBe(1);
    const refused = worker.run('putIfAbsent', '', 1, 0);
    await expect(refused).rejects.toMatchObject({ name: 'CacheArgumentError', code: 'CACHE_ARGUMENT' });
  });

  it('rejects what a dead worker cannot answer any more, and may be killed twice', async () => {
    worker = await WorkerProcess.start('auth.worker', { REDIS_URL: 'memory:' });
    const late = worker.run('load', 'key', 1, Date.now() + 60_000);
    await worker.kill();
    await expect(late).rejects.toThrow('gone');
    await expect(worker.run('endChurn')).rejects.toThrow();
    await worker.kill();
    await eventually(() => expect(() => process.kill(worker?.pid ?? 0, 0)).toThrow('ESRCH'));
  });

  it('says that a script cannot be loaded', async () => {
    await expect(WorkerProcess.start('auth.worker', { REDIS_URL: 'http://no.redis' })).rejects.toThrow('gone');
  });
});
