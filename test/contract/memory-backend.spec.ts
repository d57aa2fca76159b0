import { MemoryBackend } from '../../lib/backend/memory.backend.js';
import { describeBackend } from './backend-contract.js';

describeBackend(
  'memory:',
  async () => ({ backend: new MemoryBackend(() => true), close: () => Promise.resolve() }),
  false,
);
