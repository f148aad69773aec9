import type { Command } from "./command.ts";
import type { Place } from "./open-place.ts";
import type { BuildRequest, Tool } from "./tool.ts";

/** One kind of work, that every tool does in turn. */
export interface Row {
  /** Chooses it: `npm run bench -- NAME`. */
  readonly name: string;
  readonly title: string;
  /** What slipway's time may be of docker's. */
  readonly goal: number;
  /** What cannot be less, in words, for the table. */
  readonly bound: string;
  /** Timed rounds; one more, with a check of the result, is for memory. */
  readonly rounds: number;
  /** Makes what the row needs, and says how a round goes. */
  setUp(place: Place): Promise<Work>;
}

/** A round of a tool; rounds count from 0. */
export interface Work {
  /** Brings the tool where the measured part begins. Not timed. */
  prepare(tool: Tool, round: number): Promise<void>;
  /** The measured part. */
  commands(tool: Tool, round: number): readonly Command[];
  /** The build whose results must be alike in slipway and docker. */
  result(tool: Tool, round: number): BuildRequest;
  /** Fails when slipway won by doing less in another way. Called after the first round. */
  check?(): Promise<void>;
}
