import { queueOptionsSymbol, type TaskQueue } from 'piscina';

type Task = Parameters<TaskQueue['push']>[0];

/** Where a job stands in the queue. */
export interface Place {
  /** Higher goes first; equal ones in the order they came. */
  priority: number;
  /** Order of arrival. */
  ticket: number;
}

/** piscina's task queue by priority, from which a job can be withdrawn again. */
export class JobQueue implements TaskQueue {
  readonly #tasks: Task[] = [];

  get size(): number {
    return this.#tasks.length;
  }

  shift(): Task | null {
    return this.#tasks.shift() ?? null;
  }

  /** Also for tasks that piscina took and could not place: the ticket brings them back to where they were. */
  push(task: Task): void {
    const place = placeOf(task);
    let at = this.#tasks.length;
    while (at > 0 && isBefore(place, placeOf(this.#tasks[at - 1]))) at--;
    this.#tasks.splice(at, 0, task);
  }

  remove(task: Task): void {
    const at = this.#tasks.indexOf(task);
    if (at >= 0) this.#tasks.splice(at, 1);
  }

  /** True = the job was still waiting and will not run. */
  withdraw(ticket: number): boolean {
    const at = this.#tasks.findIndex((task) => placeOf(task).ticket === ticket);
    if (at >= 0) this.#tasks.splice(at, 1);
    return at >= 0;
  }
}

function placeOf(task: Task): Place {
  return task[queueOptionsSymbol] as Place;
}

function isBefore(a: Place, b: Place): boolean {
  return a.priority > b.priority || (a.priority === b.priority && a.ticket < b.ticket);
}
