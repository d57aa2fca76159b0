import { CALM, calling, type ServiceModel, steps, valuesOf } from './instances.js';

export const BUDGET = { issues: 4, wrong: 5 };
const ATTEMPTS = 3;

/** What the owner of a subject, and those who guess, know of its code and its link. */
interface Codes {
  readonly subject: string;
  issued: number;
  wrong: number;
  /** Whether a call was lost, which may have cost budget. */
  wasLost: boolean;
  /** The newest code; `undefined`: there is none, or nobody knows it. */
  code: { readonly text: string; ok: number; wrong: number; isSure: boolean } | undefined;
  link: { readonly token: string; ok: number; isSure: boolean } | undefined;
}

let subjects = 0;

/** No code and no link is ok twice, and no more guesses are compared than attempts and budget allow. */
export const codesModel: ServiceModel<Codes> = {
  begin: () => ({
    subject: `user:${++subjects}`,
    issued: 0,
    wrong: 0,
    wasLost: false,
    code: undefined,
    link: undefined,
  }),
  steps: [
    steps('issue', calling, async (codes, instances, asked) => {
      const how = { ...asked, calls: 1 };
      const [told] = await instances.call(how, 'codes', 'issue', 'login', codes.subject, 1);
      if (told === 'lost') [codes.code, codes.wasLost] = [undefined, true];
      if (told === 'refused' && !codes.wasLost) {
        expect(codes.issued === BUDGET.issues || codes.wrong === BUDGET.wrong).toBe(true);
      }
      if (typeof told !== 'object') return;
      codes.code = { text: told.value, ok: 0, wrong: 0, isSure: true };
      expect(++codes.issued).toBeLessThanOrEqual(BUDGET.issues);
    }),
    ...['right', 'wrong', 'wrong'].map((which) =>
      steps<Codes, typeof CALM>(`redeem ${which}`, calling, async (codes, instances, how) => {
        const { code } = codes;
        const guess = which === 'right' && code ? code.text : 'wrong';
        const told = await instances.call(how, 'codes', 'redeem', 'login', codes.subject, guess);
        const outcomes = valuesOf(told).map(({ outcome }) => outcome);
        const [oks, wrongs] = ['ok', 'wrong'].map((each) => outcomes.filter((outcome) => outcome === each).length);
        codes.wrong += wrongs ?? 0;
        codes.wasLost ||= told.includes('lost');
        expect(codes.wrong).toBeLessThanOrEqual(BUDGET.wrong);
        if (!code) return;
        const isOpen = code.isSure && code.ok === 0 && code.wrong < ATTEMPTS && codes.wrong < BUDGET.wrong;
        code.ok += oks ?? 0;
        code.wrong += wrongs ?? 0;
        code.isSure &&= !codes.wasLost;
        expect(code.ok).toBeLessThanOrEqual(1);
        expect(code.wrong).toBeLessThanOrEqual(ATTEMPTS);
        // With others at once, none of the budget may be left for the moment.
        if (guess !== 'wrong' && isOpen && code.isSure && how.calls === 1) expect(oks).toBe(1);
      }),
    ),
    steps('issueToken', calling, async (codes, instances, asked) => {
      const how = { ...asked, calls: 1 };
      const [told] = await instances.call(how, 'codes', 'issueToken', 'reset', codes.subject, 1);
      if (typeof told === 'object') codes.link = { token: told.value, ok: 0, isSure: true };
    }),
    steps('redeemToken', calling, async ({ link }, instances, how) => {
      if (!link) return;
      const told = await instances.call(how, 'codes', 'redeemToken', 'reset', link.token);
      const oks = valuesOf(told).filter(({ outcome }) => outcome === 'ok').length;
      link.isSure &&= !told.includes('lost');
      if (link.isSure) expect(oks).toBe(1 - link.ok);
      link.ok += oks;
      expect(link.ok).toBeLessThanOrEqual(1);
    }),
  ],
  // Whatever was lost, the code that is left is ok once at most, and a new link works, and once.
  async end({ subject, code }, instances) {
    const guesses = { ...CALM, calls: 3 };
    const told = code && (await instances.call(guesses, 'codes', 'redeem', 'login', subject, code.text));
    const oks = valuesOf(told ?? []).filter(({ outcome }) => outcome === 'ok').length;
    expect((code?.ok ?? 0) + oks).toBeLessThanOrEqual(1);
    const [token = ''] = valuesOf(await instances.call(CALM, 'codes', 'issueToken', 'reset', subject, 1));
    const redeemed = await instances.call(guesses, 'codes', 'redeemToken', 'reset', token);
    expect(valuesOf(redeemed).filter(({ outcome }) => outcome === 'ok')).toHaveLength(1);
  },
};
