import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import * as tls from 'node:tls';
import { reset } from '../../lib/connection/socket-reset.js';
import { TestCertificates } from '../support/tls.js';

describe.each([
  { kind: 'TCP', opened: 'connect', accepted: 'connection' },
  { kind: 'TLS', opened: 'secureConnect', accepted: 'secureConnection' },
])('the reset of a $kind socket', ({ kind, opened, accepted }) => {
  let certificates: TestCertificates;
  let server: Server;

  beforeAll(async () => {
    certificates = TestCertificates.create();
    const [cert, key] = [readFileSync(certificates.trusted.cert), readFileSync(certificates.trusted.key)];
    // Half-open: this other side does not answer an end with its own.
    server = kind === 'TLS' ? tls.createServer({ cert, key }) : createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(() => {
    server.close();
    certificates.remove();
  });

  /** Both ends of a new connection. */
  const open = async (): Promise<[socket: Socket, peer: Socket]> => {
    const { port } = server.address() as AddressInfo;
    const ca = readFileSync(certificates.trusted.ca);
    const socket = kind === 'TLS' ? tls.connect({ port, ca, servername: 'localhost' }) : connect(port);
    const [[peer]] = (await Promise.all([once(server, accepted), once(socket, opened)])) as [[Socket], unknown];
    return [socket, peer];
  };

  it('takes back what has not arrived, unlike a close', async () => {
    const arrived = async (end: (socket: Socket) => void): Promise<number> => {
      const [socket, peer] = await open();
      const ended = new Promise((resolve) => peer.on('end', resolve).on('error', resolve));
      socket.end(Buffer.alloc(50_000_000));
      await sleep(50); // the kernel has taken all that it can hold
      end(socket);
      await once(socket, 'close');
      peer.resume();
      await ended;
      peer.destroy();
      return peer.bytesRead;
    };
    expect(await arrived(reset)).toBeLessThan(await arrived((socket) => socket.destroy()));
  });

  it.each([0, 1, 2, 3])('closes it also %d turns after its end', async (turns) => {
    const [socket, peer] = await open();
    const closed = once(socket, 'close'); // or an error
    socket.end();
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    reset(socket);
    expect(await closed).toEqual([false]);
    peer.destroy();
  });
});
