import { WorkerProcess } from './worker-process.js';
it('works', async () => {
  const t = performance.now();
  const worker = await WorkerProcess.start<typeof import('./workers/auth.worker.js')>('auth.worker');
  console.log(performance.now() - t);
  expect(await worker.run('hi', 3)).toBe(3);
  await expect(worker.run('boom')).rejects.toMatchObject({ code: 'CACHE_ARGUMENT' });
  const late = worker.run('hi', 3);
  await worker.kill();
  await expect(late).rejects.toThrow('gone');
  await expect(worker.run('hi', 3)).rejects.toThrow('');
  await worker.kill();
});
