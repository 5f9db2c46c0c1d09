// Inspecting an image opens that image and no file that it names.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { qemuImg, run } from '../support/tools.js';

const MiB = 2 ** 20;
const module = fileURLToPath(import.meta.resolve('#src/inspect/index.js'));
const program = `
  const { inspectFile } = await import(process.argv[1]);
  const verdict = await inspectFile(process.argv[2]);
  process.stdout.write(verdict.violations.map(({ code }) => code).join());
`;

/** Violations, and every path that the process handed to the system while it inspected. */
function traced(image: string, log: string): { codes: string; paths: string } {
  const command = ['-f', '-qq', '-e', 'trace=%file', '-o', log, process.execPath];
  const codes = run('strace', [...command, '--input-type=module', '-e', program, module, image]);
  return { codes, paths: readFileSync(log, 'utf8').replace(/^.* execve\(.*$/gm, '') };
}

t.test('backing file, data file and extents stay closed', async (t) => {
  const dir = t.testdir();
  for (const name of ['secret-base', 'secret-data', 'secret-flat.vmdk']) writeFileSync(`${dir}/${name}`, '');
  writeFileSync(`${dir}/secret-base`, Buffer.alloc(MiB));
  qemuImg('create', '-q', '-f', 'qcow2', '-b', `${dir}/secret-base`, '-F', 'raw', `${dir}/backing.qcow2`);
  qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${dir}/secret-data`, `${dir}/data.qcow2`, '1M');
  qemuImg('create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', `${dir}/secret.vmdk`, '1M');
  const images = [
    ['backing.qcow2', 'backing-file', 'secret-base'],
    ['data.qcow2', 'data-file,data-file', 'secret-data'],
    ['secret.vmdk', 'external-extent,descriptor,external-extent', 'secret-flat.vmdk'],
  ];
  for (const [name, codes, named] of images) {
    const seen = traced(`${dir}/${name}`, `${dir}/log`);
    t.equal(seen.codes, codes);
    t.match(seen.paths, `"${dir}/${name}"`, 'the image is in the trace');
    t.notMatch(seen.paths, named, `${named} is not`);
  }
});
