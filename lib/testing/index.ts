export { RedisCacheTestingModule } from './testing.module.js';
