import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

interface TcpHandle {
  close: (done: () => void) => void;
  readonly reset?: (done: () => void) => void;
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
export function reset(stream: Socket | undefined): void {
  if (!stream) return; // never connected
  // While an end is being sent libuv refuses to reset (EINVAL), after which Node neither closes the socket nor says so, and
  // the process spins when it exits (measured in Node 20 and 22). In the next turn it has been sent, or it never will be.
  if (isEnding(stream)) setImmediate(() => (isEnding(stream) ? stream.destroy() : destroyByReset(stream)));
  else destroyByReset(stream);
}

/** Whether nothing but its end is left to be sent, and has not been. */
function isEnding({ writableEnded, writableLength, writableFinished, destroyed }: Socket): boolean {
  return writableEnded && writableLength === 0 && !writableFinished && !destroyed;
}

function destroyByReset(stream: Socket): void {
  try {
    // `resetAndDestroy` of a TLS socket throws.
    if (stream instanceof TLSSocket) closeByReset((stream as unknown as TlsInternals)._handle?._parent);
    else stream.resetAndDestroy();
  } catch {
    // no TCP socket (`unix:`), where a close loses nothing to a network
  }
  stream.destroy();
}

/** Not reset at once: the TLS layer waits for the close of its handle, and one that was closed behind its back never says so. */
function closeByReset(handle: TcpHandle | undefined): void {
  if (handle?.reset) handle.close = handle.reset;
}
