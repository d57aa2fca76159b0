import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

interface TcpHandle {
  close(done: () => void): void;
  reset?(done: () => void): number;
}

/** What lies beneath a TLS socket; Node gives no public way to it. */
interface TlsInternals {
  readonly _handle?: { readonly _parent?: TcpHandle };
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
    // `resetAndDestroy` of a TLS socket throws.
    if (stream instanceof TLSSocket) closeByReset((stream as unknown as TlsInternals)._handle?._parent);
    else if ('resetAndDestroy' in stream) (stream as Socket).resetAndDestroy();
  } catch {
    // no TCP socket (`unix:`), where a close loses nothing to a network
  }
  stream.destroy();
}

/**
 * Best effort. Not reset at once: the TLS layer waits for the close of its handle, and one that was closed behind its back
 * never says so, without which no 'close' event comes and the connection passes for open for ever.
 */
function closeByReset(handle: TcpHandle | undefined): void {
  if (!handle?.reset) return;
  const close = handle.close.bind(handle);
  handle.close = (done) => {
    if (handle.reset?.(done) !== 0) close(done);
  };
}
