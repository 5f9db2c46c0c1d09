import { JobControl } from '../disk/control.js';
import { DiskImageError } from '../disk/errors.js';
import type { JobSettings } from '../operations/job.js';
import { packError } from './errorTransport.js';
import type { JobMessage, JobReply } from './protocol.js';
import { beginJob, endJob } from './shares.js';

/** An operation as a worker runs it. `pack` makes its result cloneable. */
export interface PooledOperation {
  // biome-ignore lint/suspicious/noExplicitAny: requests differ by operation; Pool's methods carry the types.
  run(request: any, settings: JobSettings): Promise<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  pack?(value: any): unknown;
}

/** The function a worker exports: runs the job a message describes, and answers instead of throwing. */
export function serve(operations: Readonly<Record<string, PooledOperation>>) {
  return async (message: JobMessage): Promise<JobReply> => {
    const threads = beginJob(message);
    try {
      if (!Object.hasOwn(operations, message.operation)) {
        throw new DiskImageError('INVALID_ARGUMENT', `A pool has no operation '${message.operation}'`);
      }
      const operation = operations[message.operation];
      const value = await operation.run(message.request, {
        control: new JobControl(message.control),
        threads,
      });
      return { value: operation.pack ? operation.pack(value) : value };
    } catch (error) {
      return { error: packError(error) };
    } finally {
      endJob(message);
    }
  };
}
