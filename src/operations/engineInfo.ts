import { type EngineInfo, native } from '../native.js';

/** Version of the engine, the library behind each codec, and the CPU kernels in use. */
export function engineInfo(): EngineInfo {
  return native.engineInfo();
}
