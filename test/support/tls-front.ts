import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { freePort } from '../../scripts/processes.mjs';
import type { TlsFiles } from './tls.js';

/**
 * Speaks TLS in front of a server that does not, as the entry of a managed Redis does: it takes a connection only if the client names
 * the host that it wants to speak to (SNI).
 */
export class TlsFront {
  static async start(target: { readonly port: number }, files: TlsFiles, name = 'localhost'): Promise<TlsFront> {
    const front = new TlsFront(await freePort(), target.port, files, name);
    front.server.listen(front.port);
    await once(front.server, 'listening');
    return front;
  }

  /** Connections that were taken, and those that named no host or another one. */
  taken = 0;
  refused = 0;

  private readonly server: Server;
  private readonly sockets = new Set<TLSSocket>();

  private constructor(
    readonly port: number,
    targetPort: number,
    { cert, key }: TlsFiles,
    name: string,
  ) {
    this.server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
      socket.on('error', () => undefined);
      if (socket.servername !== name) {
        this.refused++;
        socket.destroy();
        return;
      }
      this.taken++;
      const target = connect(targetPort, '127.0.0.1').on('error', () => socket.destroy());
      target.once('close', () => socket.destroy());
      socket.once('close', () => target.destroy() && this.sockets.delete(socket));
      this.sockets.add(socket);
      socket.pipe(target).pipe(socket);
    });
    this.server.on('tlsClientError', () => undefined);
  }

  async stop(): Promise<void> {
    const ended = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await ended;
  }
}
