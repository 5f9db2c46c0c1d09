// What provisioning makes is a disk that boots: the guest writes to its overlay and the base stays as it was.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImageCache } from 'basecow';
import t, { type Test } from 'tap';
import { BOOT_MARKER, boot, bootSector } from '../support/bootDisk.js';
import { cloudImage } from '../support/cloudImage.js';
import { canMount, mountFresh } from '../support/mount.js';
import { Random } from '../support/random.js';
import { md5sum, qemuImg } from '../support/tools.js';

const seed = 20261123;
t.comment(`seed ${seed}`);
const SECTOR = 512;

async function bootProvisioned(t: Test, folder: string, resize: 'base' | 'overlay'): Promise<void> {
  const image = cloudImage(join(folder, 'source'), new Random(seed));
  const cache = new ImageCache({ instances: join(folder, 'instances') });
  const { disk, base, backing } = await cache.provision({
    imageId: 'bootable',
    source: image.path,
    sourceFormat: 'qcow2',
    size: 2 ** 30,
    instance: 'vm',
    resize,
  });
  const below = backing ?? base;
  t.equal(below !== base, resize === 'base', 'a grown base is a file of its own');
  const before = md5sum(below);
  t.match(boot(disk), BOOT_MARKER, 'the guest printed its marker');

  t.equal(md5sum(below), before, 'the base is unchanged');
  const flat = join(folder, 'flat.raw');
  qemuImg('convert', '-f', 'qcow2', '-O', 'raw', disk, flat);
  const guest = readFileSync(flat);
  const sector = bootSector(undefined, image.size / SECTOR);
  t.same(guest.subarray(0, SECTOR), sector);
  t.same(guest.subarray(SECTOR, 2 * SECTOR), sector, 'what the guest wrote is in the overlay');
  t.same(
    readFileSync(below).subarray(SECTOR, 2 * SECTOR),
    readFileSync(image.raw).subarray(SECTOR, 2 * SECTOR),
    'and not in the base',
  );
  qemuImg('check', '-q', '-f', 'qcow2', disk);
}

t.test('an overlay larger than its base boots', (t) => bootProvisioned(t, t.testdir(), 'overlay'));

t.test('an overlay on a base grown on XFS (reflink) boots', async (t) => {
  const folder = canMount() ? mountFresh(t, 'xfs', 2 ** 29) : t.testdir();
  t.comment(canMount() ? 'on XFS' : 'mounting is not possible here: on the ordinary filesystem');
  await bootProvisioned(t, folder, 'base');
});
