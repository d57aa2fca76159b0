import type { Stage } from '../support/stage.js';
import { describeAuthOperations } from './auth-contract.js';
import { describeLoads } from './auth-load-contract.js';
import { describeSchemas } from './auth-schema-contract.js';
import { describeSliding } from './auth-sliding-contract.js';
import { describeTags } from './auth-tag-contract.js';
import { describeCounters } from './counter-contract.js';
import { describeMisses } from './miss-contract.js';
import { describeMoves } from './move-contract.js';
import { describePutOptions } from './put-options-contract.js';
import { describeScopes } from './scope-contract.js';
import { describeStore } from './store-contract.js';
import { describeTagLimits } from './tag-limit-contract.js';
import { describeUpdates } from './update-contract.js';
import { describeWalks } from './walk-contract.js';

/** All that a store promises, whatever its backend. The backend is opened once, since some take long to start. */
export function describeWholeContract(name: string, open: () => Promise<Stage>): void {
  describe(name, () => {
    let stage: Stage;
    beforeAll(async () => (stage = await open()), 60_000);
    afterAll(() => stage?.stop());

    const parts = [
      describeStore,
      describeAuthOperations,
      describeLoads,
      describeSchemas,
      describeMisses,
      describeSliding,
      describeTags,
      describeTagLimits,
      describeMoves,
      describeUpdates,
      describePutOptions,
      describeWalks,
      describeScopes,
      describeCounters,
    ];
    for (const describePart of parts) describePart(async () => stage);
  });
}
