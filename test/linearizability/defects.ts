import { type ServiceDefect, SERVICE_DEFECTS } from './broken-services.js';
import { type StoreDefect, STORE_DEFECTS } from './broken-stores.js';

/** What the store, or a service of /auth, of one process does wrong. */
export type Defect = StoreDefect | ServiceDefect;

export const DEFECTS = [...Object.keys(STORE_DEFECTS), ...Object.keys(SERVICE_DEFECTS)] as Defect[];

export function isOfStore(defect: Defect): defect is StoreDefect {
  return defect in STORE_DEFECTS;
}
