import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly dir: string;
  /** The authority that signed `cert`. */
  readonly ca: string;
  /** For localhost and 127.0.0.1. */
  readonly cert: string;
  readonly key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const NAMES = 'subjectAltName = DNS:localhost, IP:127.0.0.1\n';
const CONFIG = `[req]\ndistinguished_name = dn\n[dn]\n[ca]\nbasicConstraints = critical, CA:TRUE\n[server]\n${NAMES}`;

/**
 * An authority, a server certificate signed by it, and a self-signed certificate that nobody has reason to trust.
 * `selfSigned` has the same `ca`: a server needs one to start.
 */
export class TestCertificates {
  static create(): TestCertificates {
    return new TestCertificates(mkdtempSync(join(tmpdir(), 'tls-')));
  }

  readonly trusted: TlsFiles;
  readonly selfSigned: TlsFiles;

  private constructor(private readonly dir: string) {
    const file = (name: string) => join(dir, name);
    const [config, ca, caKey, request] = [file('openssl.cnf'), file('ca.pem'), file('ca.key'), file('server.csr')];
    this.trusted = { dir, ca, cert: file('server.pem'), key: file('server.key') };
    this.selfSigned = { dir, ca, cert: file('self-signed.pem'), key: file('self-signed.key') };
    writeFileSync(config, CONFIG);

    const selfSign = (section: string, subject: string, key: string, cert: string) =>
      openssl(
        'req',
        '-x509',
        '-config',
        config,
        '-extensions',
        section,
        '-subj',
        subject,
        ...KEY,
        '-keyout',
        key,
        '-out',
        cert,
      );
    selfSign('ca', '/CN=Test authority', caKey, ca);
    selfSign('server', '/CN=localhost', this.selfSigned.key, this.selfSigned.cert);
    openssl(
      'req',
      '-new',
      '-config',
      config,
      '-subj',
      '/CN=localhost',
      ...KEY,
      '-keyout',
      this.trusted.key,
      '-out',
      request,
    );
    const signed = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-extfile', config, '-extensions', 'server'];
    openssl('x509', '-req', '-in', request, ...signed, '-out', this.trusted.cert);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' }); // its output goes into the error, should there be one
}
