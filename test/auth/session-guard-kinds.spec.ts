import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Controller, type ExecutionContext, UseGuards } from '@nestjs/common';
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices';
import { CurrentSession, RequireFresh, type Session, SessionGuard } from 'nestjs-redis-cache-store/auth';
import { firstValueFrom } from 'rxjs';
import { freePort } from '../../scripts/processes.mjs';
import { eventually } from '../support/eventually.js';
import { GuardStage } from './guard-stage.js';

@Resolver()
class MeResolver {
  @UseGuards(SessionGuard)
  @Query('me')
  me(@CurrentSession() session: Session) {
    return session.subject;
  }

  @RequireFresh('1s')
  @UseGuards(SessionGuard)
  @Query('secret')
  secret() {
    return 'secret';
  }
}

@Controller()
class MeController {
  @UseGuards(SessionGuard)
  @MessagePattern('me')
  me(@CurrentSession() session: Session) {
    return session.subject;
  }
}

describe('SessionGuard', () => {
  let stage: GuardStage;

  beforeAll(async () => (stage = await GuardStage.start()));
  afterAll(() => stage.stop());
  afterEach(() => stage.close());

  describe('of a GraphQL application', () => {
    beforeEach(async () => {
      const graphql = GraphQLModule.forRoot<ApolloDriverConfig>({
        driver: ApolloDriver,
        typeDefs: 'type Query { me: String, secret: String }',
        playground: false,
      });
      await stage.open({}, { imports: [graphql], providers: [MeResolver] });
      await stage.listen();
    });

    const ask = async (query: string, token?: string) => {
      const sent = stage.http.post('/graphql').send({ query });
      return (await (token === undefined ? sent : sent.set('Authorization', `Bearer ${token}`))).body as object;
    };

    it('lets in who has a session', async () => {
      expect(await ask('{ me }', await stage.login())).toEqual({ data: { me: 'ann' } });
    });

    it('gives everybody else an error with the code UNAUTHENTICATED', async () => {
      expect(await ask('{ me }')).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    });

    it('tells whose login is too long ago what is missing', async () => {
      const token = await stage.login();
      const extensions = { code: 'UNAUTHENTICATED', error: 'insufficient_user_authentication', maxAge: 1 };
      await eventually(async () => expect(await ask('{ secret }', token)).toMatchObject({ errors: [{ extensions }] }));
    });
  });

  it('of a microservice takes the token from where a function finds it, and answers in its kind of error', async () => {
    const port = await freePort();
    const from = (context: ExecutionContext) => context.switchToRpc().getData<{ token?: string }>().token;
    await stage.open({ from }, { controllers: [MeController], providers: [] });
    stage.app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
    await stage.app.startAllMicroservices();
    await stage.listen();
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
    const ask = (data: object) => firstValueFrom(client.send<unknown>('me', data));
    expect(await ask({ token: await stage.login() })).toBe('ann');
    const refused = { status: 'error', message: 'Unauthorized', code: 'UNAUTHENTICATED' };
    await expect(ask({ token: 'a'.repeat(43) })).rejects.toEqual(refused);
    await expect(ask({})).rejects.toEqual(refused);
    await client.close();
  });
});
