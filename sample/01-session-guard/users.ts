import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Injectable } from '@nestjs/common';

export interface User {
  readonly id: string;
  readonly name: string;
  /** `<salt>.<scrypt of salt and password>`, both in base64url. */
  readonly passwordHash: string;
}

/** The password of nobody: checking a name that is unknown takes as long as checking one that is known. */
const NOBODYS_HASH = 'wP_uFMD_7hVR7v8MQe7_DA.Pg7LRzdhyoIBxV6frZMNkORW3X2DPE8UXj3oJoFr_mE';

/** Stands for the users table of your database; it forgets changed passwords when the application stops. */
@Injectable()
export class Users {
  private readonly users = new Map<string, User>([
    // lovelace
    [
      '1',
      {
        id: '1',
        name: 'ada',
        passwordHash: 'jxwrfZo-T2AG9OOp17LB-A.q_QGXH2uyddGb2F5QCcaWiBjOKW6viKbjh3blpQmHgM',
      },
    ],
    // builder1
    [
      '2',
      {
        id: '2',
        name: 'bob',
        passwordHash: 'G51rzV4PSidypPDl3LbZsQ.-DWfAlMIDA2_ZdZph7TvkBfYvlhYQbPsAzJyrpQKVHE',
      },
    ],
  ]);

  findById(id: string | null | undefined): User | undefined {
    return this.users.get(id ?? '');
  }

  findByName(name: string): User | undefined {
    return [...this.users.values()].find((user) => user.name === name);
  }

  async authenticate(name: string, password: string): Promise<User | undefined> {
    const user = this.findByName(name);
    const [salt = '', hash = ''] = (user?.passwordHash ?? NOBODYS_HASH).split('.');
    const matches = timingSafeEqual(await derive(password, salt), Buffer.from(hash, 'base64url'));
    return matches ? user : undefined;
  }

  async changePassword(id: string, password: string): Promise<void> {
    const salt = randomBytes(16).toString('base64url');
    const passwordHash = `${salt}.${(await derive(password, salt)).toString('base64url')}`;
    const user = this.users.get(id);
    if (user) this.users.set(id, { ...user, passwordHash });
  }
}

function derive(password: string, salt: string): Promise<Buffer> {
  return promisify(scrypt)(password, Buffer.from(salt, 'base64url'), 32) as Promise<Buffer>;
}
