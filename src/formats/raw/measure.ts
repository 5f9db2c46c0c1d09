import type { MeasureRequest, MeasureResult } from '../../disk/format.js';
import { alignUp } from '../../disk/offsets.js';
import { parseRawOptions } from './options.js';

/** A raw image needs its virtual size, whatever is in it: holes are the filesystem's affair. Bytes. */
export async function measureRaw(request: MeasureRequest): Promise<MeasureResult> {
  parseRawOptions(request.options, 'raw');
  const required = alignUp(request.source?.virtualSize ?? request.size, 512);
  return { required, fullyAllocated: required };
}
