// From the codes of the node's API (`docs/reference/errors.md`) to what the page says of a question that failed. Pure.
import type { Failure, FailureCode } from "../chat/backend";
import { Refused } from "./http";

/** Codes that mean the same to whoever asked; others have words of their own (`words/reasons.ts`). */
const failures: Record<string, FailureCode> = {
  answer_broke: "answer_broke",
  demands_unmet: "demands_unmet",
  does_not_fit: "model_unusable",
  draining: "draining",
  empty_prompt: "empty",
  image_invalid: "image_unfit",
  image_too_large: "image_unfit",
  model_loading: "model_loading",
  model_not_found: "unknown_model",
  must_be_known: "must_be_known",
  no_link: "no_way",
  no_projector: "cannot_see",
  no_provider: "no_provider",
  not_ready: "not_ready",
  not_this_way: "no_way",
  out_of_memory: "model_unusable",
  prompt_too_large: "too_long",
  prompt_too_long: "prompt_too_long",
  provider_broken: "broken",
  provider_busy: "busy",
  provider_cannot_see: "cannot_see",
  provider_draining: "draining",
  provider_engine_failed: "engine_failed",
  provider_gone: "gone",
  provider_lost_model: "unknown_model",
  provider_not_admitting: "not_admitted",
  provider_silent: "silent",
  queue_full: "busy",
  request_malformed: "malformed",
  request_unknown: "unknown_request",
  routers_unmet: "routers_unmet",
  too_many_requests: "busy",
};

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Refused)) return { code: "disconnected", detail: "" };
  const code = failures[error.code] ?? "refused";
  const detail = code === "refused" ? [error.message, error.hint].filter((part) => part !== "").join(" · ") : error.message;
  return { code, detail, reason: error.code };
}
