import { once } from 'node:events';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { type CanActivate, Controller, UseGuards } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { GraphQLModule, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { CurrentSession, Public, type Session, SessionGuard } from 'nestjs-redis-cache-store/auth';
import { firstValueFrom } from 'rxjs';
import { WebSocket } from 'ws';
import { freePort } from '../../scripts/processes.mjs';
import { gate } from '../support/gate.js';
import { GuardStage } from './guard-stage.js';

const GUARD = { provide: APP_GUARD, useClass: SessionGuard };
const REFUSED = { code: 'UNAUTHENTICATED' };

@Public()
class OpenResolver {
  @Query('inherited')
  inherited() {
    return 'everybody';
  }
}

@Resolver()
class ChildOfOpenResolver extends OpenResolver {
  @Query('added')
  added() {
    return 'everybody';
  }
}

@Resolver('User')
class UserResolver {
  @Query('user')
  user() {
    return {};
  }

  @Public()
  @Query('anybody')
  anybody() {
    return {};
  }

  @ResolveField('mail')
  mail() {
    return 'ann@example.com';
  }
}

@WebSocketGateway()
class Gateway {
  @SubscribeMessage('global')
  global() {
    return { event: 'answer', data: 'everybody' };
  }

  @UseGuards(SessionGuard)
  @SubscribeMessage('own')
  own() {
    return { event: 'answer', data: 'secret' };
  }
}

@Controller()
class Service {
  @MessagePattern('global')
  global() {
    return 'answer';
  }
}

describe('SessionGuard as APP_GUARD', () => {
  let stage: GuardStage;
  beforeAll(async () => (stage = await GuardStage.start()));
  afterAll(() => stage.stop());
  afterEach(() => stage.close());

  const ask = async (query: string, token?: string) => {
    const sent = stage.http.post('/graphql').send({ query });
    return (await (token === undefined ? sent : sent.set('Authorization', `Bearer ${token}`))).body as object;
  };
  const openGraphQL = async (
    typeDefs: string,
    providers: NonNullable<Parameters<GuardStage['open']>[1]>['providers'] & object,
    enhanced = false,
  ) => {
    const graphql = GraphQLModule.forRoot<ApolloDriverConfig>({
      driver: ApolloDriver,
      typeDefs,
      playground: false,
      ...(enhanced && { fieldResolverEnhancers: ['guards'] }),
    });
    await stage.open({}, { imports: [graphql], providers });
    await stage.listen();
  };

  it('looks at queries, and lets everybody in to those of a class that is public, or is derived from such', async () => {
    const users =
      'type User { mail: String } type Query { user: User, anybody: User, inherited: String, added: String }';
    await openGraphQL(users, [GUARD, UserResolver, ChildOfOpenResolver]);
    expect(await ask('{ user { mail } }')).toMatchObject({ errors: [{ extensions: REFUSED }] });
    expect(await ask('{ inherited added }')).toEqual({ data: { inherited: 'everybody', added: 'everybody' } });
  });

  it.each([
    [false, { data: { anybody: { mail: 'ann@example.com' } } }],
    [true, { data: { anybody: { mail: null } }, errors: [{ extensions: REFUSED }] }],
  ])(
    'looks at a field below a public query if guards are among fieldResolverEnhancers: %s',
    async (enhanced, answer) => {
      await openGraphQL(
        'type User { mail: String } type Query { user: User, anybody: User }',
        [GUARD, UserResolver],
        enhanced,
      );
      expect(await ask('{ anybody { mail } }')).toMatchObject(answer);
      const mail = { data: { user: { mail: 'ann@example.com' } } };
      expect(await ask('{ user { mail } }', await stage.login())).toEqual(mail);
    },
  );

  it('is run before a gateway, as Nest 12 does it and Nest 11 does not, and so is one of its own', async () => {
    await stage.open({}, { providers: [GUARD, Gateway] });
    stage.app.useWebSocketAdapter(new WsAdapter(stage.app));
    await stage.listen();
    const client = new WebSocket((await stage.app.getUrl()).replace('http', 'ws'));
    await once(client, 'open');
    const say = async (event: string) => {
      client.send(JSON.stringify({ event, data: {} }));
      const [message] = (await once(client, 'message')) as [Buffer];
      return JSON.parse(String(message)) as object;
    };
    expect(await say('global')).toMatchObject({ event: 'exception', data: REFUSED });
    expect(await say('own')).toMatchObject({ event: 'exception', data: REFUSED });
    client.close();
  });

  it.each([
    [false, 'answer'],
    [true, expect.objectContaining(REFUSED)],
  ])(
    'is run before a connected microservice if that inherits the configuration: %s',
    async (inheritAppConfig, expected: unknown) => {
      const options = { host: '127.0.0.1', port: await freePort() };
      await stage.open({ from: () => undefined }, { controllers: [Service], providers: [GUARD] });
      stage.app.connectMicroservice({ transport: Transport.TCP, options }, { inheritAppConfig });
      await stage.app.startAllMicroservices();
      const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
      const answer = firstValueFrom(client.send<unknown>('global', {}));
      expect(await answer.catch((error: unknown) => error)).toEqual(expected);
      await client.close();
    },
  );

  it('keeps the sessions of handlers apart that answer one GraphQL request at a time', async () => {
    const [meIsGuarded, openIsDone] = [gate(), gate()];
    const after = (first: () => void, then: Promise<void>): CanActivate => ({
      canActivate: () => {
        first();
        return then.then(() => true);
      },
    });
    @Resolver()
    class Handlers {
      @UseGuards(SessionGuard, after(() => meIsGuarded.open(), openIsDone.promise))
      @Query('me')
      me(@CurrentSession() session: Session | undefined) {
        return session?.subject;
      }

      @Public()
      @UseGuards(after(() => undefined, meIsGuarded.promise), SessionGuard)
      @Query('open')
      open(@CurrentSession() session: Session | undefined) {
        openIsDone.open();
        return session?.subject;
      }
    }
    await openGraphQL('type Query { me: String, open: String }', [Handlers]);
    expect(await ask('{ me open }', await stage.login())).toEqual({ data: { me: 'ann', open: null } });
  });
});
