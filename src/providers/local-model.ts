/** A model that lives in this process: called like a provider, but without a network. */
import type { ModelAnswer, ModelFrame, ModelRequest } from "../model/chat.ts";

export interface LocalModel {
  /**
   * One model call. Names in `request.model` keep their provider part, e.g. `rehearsal/rehearsal`.
   * @throws the signal's reason when `request.signal` aborts.
   */
  call(request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer>;
}

/** A local model that is loaded with its first call: whoever has a provider never needs it. */
export function loadedWhenCalled(load: () => Promise<LocalModel>): LocalModel {
  let loaded: Promise<LocalModel> | null = null;
  return {
    async call(request, onFrame) {
      loaded ??= load();
      return (await loaded).call(request, onFrame);
    },
  };
}
