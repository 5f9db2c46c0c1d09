export { claimNames, parseClaim } from './claims.js';
export { describeViolations } from './conclude.js';
export { inspectFile, inspectHostFile } from './inspect.js';
export { StreamInspector } from './stream.js';
export { InspectionStream } from './transform.js';
export type {
  DetectedFormat,
  FormatName,
  Inspection,
  InspectOptions,
  Violation,
  ViolationCode,
} from './types.js';
