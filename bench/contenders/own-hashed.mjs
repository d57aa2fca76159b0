import { encryption } from './own-encrypted.mjs';
import { openStore } from './own.mjs';

export const name = 'this package, encryption + hashKeys';

export const open = (url) => openStore(url, { namespace: 'sess-h', encryption, hashKeys: true });
