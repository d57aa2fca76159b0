import { Catch, HttpStatus } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { TooManyAttemptsError } from 'nestjs-redis-cache-store/auth';

/** What the responses of Express and of Fastify have in common. */
interface Response {
  header(name: string, value: string): this;
  status(code: number): this;
  send(body: object): unknown;
}

/** 429 tells the client when to come back. */
@Catch(TooManyAttemptsError)
export class TooManyAttemptsFilter implements ExceptionFilter<TooManyAttemptsError> {
  catch({ retryAfter }: TooManyAttemptsError, host: ArgumentsHost): void {
    const statusCode = HttpStatus.TOO_MANY_REQUESTS;
    const response = host.switchToHttp().getResponse<Response>();
    response.header('Retry-After', String(Math.ceil(retryAfter / 1000)));
    response.status(statusCode).send({ statusCode, message: 'Too Many Requests' });
  }
}
