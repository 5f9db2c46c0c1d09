// Images with preallocated metadata: what was reserved and never written costs nothing (QEMU: BDRV_BLOCK_RECURSE).
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ExtentColumns, Kind } from '#src/disk/extents.js';
import { storedRows } from '#src/disk/storedRows.js';
import { openDisk } from '#src/formats/open.js';
import { compare } from '#src/operations/compare.js';
import { convert } from '#src/operations/convert.js';
import { measure } from '#src/operations/measure.js';
import { qemuImg, qemuIo } from '../support/tools.js';

const GiB = 2 ** 30;
const WRITTEN = [65536 * 3, 5 * GiB + 4096, 20 * GiB - 8192];

t.test('holes of preallocated clusters are zeros', async (t) => {
  const dir = t.testdir();
  const at = (name: string) => join(dir, name);
  for (const options of ['cluster_size=64k', 'cluster_size=64k,extended_l2=on']) {
    const path = at('reserved.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `preallocation=metadata,${options}`, path, '20G');
    qemuIo(path, 'qcow2', ...WRITTEN.map((start, i) => `write -P ${i + 1} ${start} 8192`));
    const source = { path, format: 'qcow2' };

    const disk = await openDisk(path, { format: 'qcow2' });
    const stored = await storedRows(disk);
    const columns = new ExtentColumns();
    let data = 0;
    // Few rows at a time: runs are cut where there is no more room.
    for (let from = 0; from < disk.virtualSize; ) {
      columns.clear();
      columns.capacity = 3;
      const next = await stored.map(columns, from, disk.virtualSize);
      let end = from;
      for (let row = 0; row < columns.count; row++) {
        t.equal(columns.start[row], end, 'rows without gaps');
        end += columns.length[row];
        if (columns.kind[row] === Kind.data) data += columns.length[row];
      }
      t.equal(end, next);
      from = next;
    }
    await disk.close();
    t.ok(data >= 3 * 8192 && data <= 3 * 16384, `${data} bytes of data in ${options}`);

    const theirs = JSON.parse(
      qemuImg('measure', '--output=json', '-f', 'qcow2', '-O', 'qcow2', path),
    ) as Record<string, number>;
    const ours = await measure({ format: 'qcow2', source });
    t.equal(ours.required, theirs.required, `measured as QEMU does: ${options}`);

    for (const format of ['raw', 'qcow2']) {
      const target = at(`copy.${format}`);
      const { written } = await convert({ sources: [source], target: { path: target, format } });
      t.ok(written <= 3 * 65536, `${written} bytes written`);
      t.match(qemuImg('compare', '-f', 'qcow2', '-F', format, path, target), /Images are identical/);
      t.match(await compare({ first: source, second: { path: target, format } }), { identical: true });
      fs.rmSync(target);
    }
  }
});

t.test('an image whose clusters were written keeps its own map', async (t) => {
  const path = join(t.testdir(), 'plain.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '1G');
  qemuIo(path, 'qcow2', 'write -P 1 0 1M');
  const disk = await openDisk(path, { format: 'qcow2' });
  t.equal(await storedRows(disk), disk);
  await disk.close();
});
