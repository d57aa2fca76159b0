import { Catch, HttpStatus } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';

/** Without Redis nobody knows who is logged in: 503, "come again", and never 401, which would make clients log in anew. */
@Catch(CacheUnavailableError)
export class CacheUnavailableFilter implements ExceptionFilter<CacheUnavailableError> {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(_: CacheUnavailableError, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    const response: unknown = host.switchToHttp().getResponse();
    const statusCode = HttpStatus.SERVICE_UNAVAILABLE;
    httpAdapter.setHeader(response, 'Retry-After', '1');
    httpAdapter.reply(response, { statusCode, message: 'Service Unavailable' }, statusCode);
  }
}
