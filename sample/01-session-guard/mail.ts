import { Injectable, Logger } from '@nestjs/common';

/** Stands for your mail service: it prints what it would send. */
@Injectable()
export class Mail {
  readonly #logger = new Logger(Mail.name);

  send(to: string, text: string): void {
    this.#logger.log(`to ${to}: ${text}`);
  }
}
