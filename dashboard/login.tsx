/** Asks once for the token; the gateway then sets a cookie that no script can read. */
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { problemOf, Refusal } from "./api.ts";
import type { Gateway } from "./gateway.ts";

export function Login({ gateway }: { gateway: Gateway }): VNode {
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? "";
    if (token === "" || isBusy) return;
    setBusy(true);
    setProblem(null);
    try {
      await gateway.login(token);
    } catch (thrown) {
      const isWrong = thrown instanceof Refusal && thrown.fault.code === "UNAUTHORIZED";
      setProblem(isWrong ? "This is not the gateway's token. The command above prints it." : problemOf(thrown));
      setBusy(false);
      field.current?.select();
    }
  };

  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)}>
        <img src="./favicon.svg" alt="" width="44" height="44" />
        <h1>Yardmaster</h1>
        <p>
          This page needs the gateway's token once. Print it in a terminal with <code>yard token</code> and paste it here.
        </p>
        <label for="token">Token</label>
        <input ref={field} id="token" data-testid="login-token" type="password" autocomplete="current-password" spellcheck={false} required aria-describedby="login-problem" />
        <p id="login-problem" class="problem" role="alert">
          {problem}
        </p>
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? "Checking…" : "Open"}
        </button>
      </form>
    </main>
  );
}
