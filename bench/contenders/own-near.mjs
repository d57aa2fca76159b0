import { openStore } from './own.mjs';

export const name = 'this package, nearCache';

export const open = (url) => openStore(url, { namespace: 'sess-n', nearCache: true });
