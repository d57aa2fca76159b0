import { ClusterDeployment } from './cluster.js';
import { SentinelDeployment } from './sentinel.js';

describe('SentinelDeployment', () => {
  let deployment: SentinelDeployment | undefined;
  afterEach(() => deployment?.stop());

  it('names a new master when the old one dies', async () => {
    deployment = await SentinelDeployment.start({ password: 'secret' });
    const old = await deployment.master();
    const heir = await deployment.replica();
    await old.kill9();
    expect(await deployment.masterOtherThan(old)).toBe(heir);
    expect(await deployment.master()).toBe(heir);
  });
});

describe('ClusterDeployment', () => {
  let cluster: ClusterDeployment | undefined;
  afterEach(() => cluster?.stop());

  it('serves every slot, moves one with its keys, and fails over', async () => {
    cluster = await ClusterDeployment.start();
    expect(await cluster.masters()).toHaveLength(3);

    const owner = await cluster.ownerOf('key');
    await owner.cli('SET', 'key', 'value');
    const [other] = (await cluster.masters()).filter((master) => master !== owner);
    if (other === undefined) throw new Error('a single master');
    await cluster.moveSlot(await cluster.slotOf('key'), other);
    expect(await other.cli('GET', 'key')).toBe('value');

    const successor = await cluster.failover(other);
    expect(await cluster.ownerOf('key')).toBe(successor);
    expect(await successor.cli('GET', 'key')).toBe('value');
    await successor.kill9();
    expect(await cluster.ownerOf('key')).toBe(other);
  });
});
