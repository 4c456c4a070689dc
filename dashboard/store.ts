/** Holds the state, runs actions through the reducer, and tells whoever shows it. */
import { useEffect, useState } from "preact/hooks";
import { INITIAL, reduce, type Action, type State } from "./state.ts";

export interface Store {
  get(): State;
  dispatch(action: Action): void;
  /** Calls `listener` after each change; the returned function stops it. */
  subscribe(listener: () => void): () => void;
}

export function makeStore(): Store {
  let state = INITIAL;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    dispatch(action) {
      const next = reduce(state, action);
      if (next === state) return;
      state = next;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore(store: Store): State {
  const [state, setState] = useState(store.get);
  useEffect(() => {
    setState(store.get());
    return store.subscribe(() => setState(store.get()));
  }, [store]);
  return state;
}
