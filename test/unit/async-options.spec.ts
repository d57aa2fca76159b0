import type { DynamicModule } from '@nestjs/common';
import { CacheConfigError, RedisCacheModule } from 'nestjs-redis-cache-store';
import { RedisCacheAuthModule } from 'nestjs-redis-cache-store/auth';

describe('the source of the options', () => {
  it.each<[string, (way: { useFactory?: () => never; useClass?: new () => never }) => DynamicModule]>([
    ['forRootAsync', (way) => RedisCacheModule.forRootAsync(way)],
    ['forFeatureAsync', (way) => RedisCacheModule.forFeatureAsync({ name: 'feature', ...way })],
    ['forFeatureAsync of /auth', (way) => RedisCacheAuthModule.forFeatureAsync(way)],
  ])('of %s is one of three, and neither none nor two of them', (_, make) => {
    const useFactory = () => ({}) as never;
    expect(() => make({})).toThrow(CacheConfigError);
    expect(() => make({})).toThrow('needs one of "useFactory", "useClass" and "useExisting"');
    expect(() => make({ useFactory, useClass: Object as never })).toThrow('not "useFactory" and "useClass"');
    expect(() => make({ useFactory })).not.toThrow();
  });
});
