/** The ioredis that this process loads. */
export function ioredis(): string {
  return import.meta.resolve('ioredis');
}
