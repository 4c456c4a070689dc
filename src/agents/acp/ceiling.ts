/** What a harness may do without being asked about, and the modes and options in which it would not ask. */
import type { Settings } from "../../base/setting.ts";
import type { PermissionMode } from "../../model/harness.ts";
import type { HarnessProcess } from "./harness-process.ts";
import { allowUnsandboxed, permissionMode } from "./settings.ts";

export class Ceiling {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The ceiling that holds for a harness now: approve-all only in a sandbox, or where somebody said that none is needed. */
  of({ isSandboxed }: Pick<HarnessProcess, "isSandboxed">): PermissionMode {
    const mode = this.#settings.get(permissionMode);
    return mode === "approve-all" && !isSandboxed && !this.#settings.get(allowUnsandboxed) ? "approve-reads" : mode;
  }

  /** The mode, or the option, in which a harness would act without asking although it has to ask; null when there is none. */
  unaskedIn(harness: HarnessProcess): string | null {
    const { mode, options } = harness.traits;
    if (mode !== null && this.isUnasked(harness, mode)) return mode;
    const option = options.find(({ id, current }) => this.isUnaskedOption(harness, id, current));
    return option === undefined ? null : `${option.id}=${String(option.current)}`;
  }

  isUnasked(harness: HarnessProcess, mode: string): boolean {
    return harness.spec.unaskedModes.includes(mode) && this.of(harness) !== "approve-all";
  }

  isUnaskedOption(harness: HarnessProcess, id: string, value: string | boolean | null): boolean {
    const { unaskedOptions } = harness.spec;
    return value !== null && Object.hasOwn(unaskedOptions, id) && unaskedOptions[id]!.includes(value) && this.of(harness) !== "approve-all";
  }
}
