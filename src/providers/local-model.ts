/** A model that lives in this process: called like a provider, but without a network. */
import type { ModelAnswer, ModelFrame, ModelRequest } from "../model/chat.ts";

export interface LocalModel {
  /**
   * One model call. Names in `request.model` keep their provider part, e.g. `rehearsal/rehearsal`.
   * @throws the signal's reason when `request.signal` aborts.
   */
  call(request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer>;
}
