import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** What lies beneath a TLS socket; Node gives no public way to it. */
interface TlsHandle {
  readonly _handle?: { readonly _parent?: { reset?: (done: () => void) => void } };
}

/**
 * Destroys a socket with RST instead of FIN, so that the kernel drops what it has not delivered: measured, a SET that had
 * timed out was retransmitted for seconds and ran after the network healed, after another client's acknowledged DEL.
 *
 * It cannot take back what a frozen server already has in its receive buffer.
 */
export function reset(stream: Pick<Socket, 'destroy'> | undefined): void {
  if (!stream) return; // never connected
  try {
    // `resetAndDestroy` of a TLS socket throws, so the TCP handle beneath it is reset (best effort, hence the optional calls).
    if (stream instanceof TLSSocket) (stream as unknown as TlsHandle)._handle?._parent?.reset?.(() => undefined);
    else if ('resetAndDestroy' in stream) (stream as Socket).resetAndDestroy();
  } catch {
    // no TCP socket (`unix:`), where a close loses nothing to a network
  }
  stream.destroy();
}
