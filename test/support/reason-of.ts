/** What a call rejects with; what it resolves with if it does not, which is then none of the expected errors. */
export function reasonOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
}
